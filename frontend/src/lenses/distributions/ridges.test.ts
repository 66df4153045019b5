import { describe, expect, it } from "vitest";
import { binOf, EDGES, HALF } from "../../data/bins";
import { FORMATS, type Format } from "../../data/formats";
import type { Histogram, Histograms } from "../../data/histograms";
import { histogram } from "../../data/testing";
import { chooseRecords, heightScale, lostZones, outlinePath, recordAt } from "./ridges";
import { reachOf, valueAxis } from "./value_axis";
import { binLabel, lossText, readoutOf, verdictOverDepth, verdictOverSteps } from "./words";

const [float16] = FORMATS as readonly [Format];

function over(list: readonly Histogram[], every = 1): Histograms {
  return { kind: "gradient", row: "a", steps: Float64Array.from(list, (_, i) => i * every), list };
}

const normal = histogram({ [binOf(1)]: 4 });
const nan = histogram({ 511: 4 });

/** Integral of an outline. */
function area({ x, density }: { x: Float64Array; density: Float64Array }): number {
  return density.reduce((sum, d, i) => sum + d * ((x[2 * i + 1] as number) - (x[2 * i] as number)), 0);
}

describe("chooseRecords", () => {
  const choose = (count: number, most: number, pinned = count - 1) =>
    chooseRecords(over(Array.from({ length: count }, () => normal)), null, pinned, most);

  it("takes all that fit, else every second, fourth …, and the last", () => {
    expect(choose(5, 8)).toEqual([0, 1, 2, 3, 4]);
    expect(choose(20, 8)).toEqual([0, 4, 8, 12, 16, 19]);
    expect(choose(1, 8)).toEqual([0]);
    expect(choose(0, 8)).toEqual([]);
  });

  it("moves no ridge when a record is added, until there are twice as many", () => {
    for (let count = 34; count < 64; count++) {
      expect(choose(count + 1, 8).slice(0, -1)).toEqual(expect.arrayContaining(choose(count, 8).slice(0, -1)));
    }
  });

  it("adds the pinned record and where NaN begins", () => {
    const list = Array.from({ length: 64 }, (_, i) => (i === 13 || i === 14 || i >= 51 ? nan : normal));
    const found = chooseRecords(over(list), null, 7, 8);
    expect(found).toEqual(expect.arrayContaining([0, 7, 13, 51, 63]));
    expect(found).not.toContain(14);
    expect(found.length).toBeLessThanOrEqual(16);
  });

  it("keeps to the range", () => {
    const data = over(
      Array.from({ length: 10 }, () => normal),
      10,
    );
    expect(chooseRecords(data, [25, 60], 9, 8)).toEqual([3, 4, 5, 6]);
    expect(recordAt(data.steps, 45)).toBe(4);
    expect(recordAt(data.steps, -5)).toBe(0);
    expect(recordAt(data.steps, null)).toBe(9);
  });
});

describe("valueAxis", () => {
  const mixed = histogram({
    0: 10,
    [binOf(1e-4)]: 20,
    [binOf(0.3)]: 30,
    [binOf(-0.01)]: 25,
    [binOf(-0.9)]: 10,
    511: 5,
  });

  for (const kind of ["log", "linear"] as const) {
    it(`has an area of what is finite and not zero, ${kind}`, () => {
      const axis = valueAxis(kind, reachOf([mixed]), 700);
      expect(area(axis.outline(mixed))).toBeCloseTo(0.85, 10);
      expect(Math.max(...axis.outline(mixed).x)).toBeLessThanOrEqual(700 + 1e-6);
      expect(Math.min(...axis.outline(mixed).x)).toBeGreaterThanOrEqual(-1e-6);
    });

    it(`finds the bin under a place, ${kind}`, () => {
      const axis = valueAxis(kind, reachOf([mixed]), 700);
      for (const bin of mixed.bins) {
        const m = bin & (HALF - 1);
        if (m === 0 || m >= 510) continue;
        const middle = ((EDGES[m] as number) + (EDGES[m + 1] as number)) / 2;
        const sign = bin < HALF ? 1 : -1;
        // On the linear axis the smallest bins are within the bar at zero.
        const place = axis.x(sign * middle);
        const wanted = kind === "linear" && place >= axis.zero[0] && place <= axis.zero[1] ? 0 : sign * m;
        expect(axis.orderAt(place)).toBe(wanted);
      }
      expect(axis.orderAt((axis.zero[0] + axis.zero[1]) / 2)).toBe(0);
    });
  }

  it("mirrors negative magnitudes, and leaves out a side without values", () => {
    const axis = valueAxis("log", reachOf([mixed]), 700);
    expect(axis.x(-0.5)).toBeLessThan(axis.zero[0]);
    expect(axis.x(-0.5) + axis.x(0.5)).toBeCloseTo(700, 6);
    const positive = valueAxis("log", reachOf([histogram({ [binOf(2)]: 1, [binOf(0.1)]: 1 })]), 700);
    expect(positive.zero[0]).toBe(0);
    expect(positive.first).toBe(0);
  });

  it("gives a narrow bin the same height as a wide one of the same density", () => {
    // Of values evenly spread over their logarithm, the two bins of an octave have 58.5 and 41.5 %.
    const even = histogram({ [binOf(1)]: 58496, [binOf(1.5)]: 41504 });
    const { density } = valueAxis("log", reachOf([even]), 100).outline(even);
    expect((density[0] as number) / (density[1] as number)).toBeCloseTo(1, 4);
    // And of evenly spread ones half each.
    const flat = histogram({ [binOf(1)]: 50, [binOf(1.5)]: 50 });
    const [one, other] = valueAxis("linear", reachOf([flat]), 128).outline(flat).density;
    expect(one).toBeGreaterThan(0);
    expect(one).toBeCloseTo(other as number, 10);
  });

  it("stands without any value", () => {
    for (const kind of ["log", "linear"] as const) {
      const axis = valueAxis(kind, reachOf([nan, histogram({})]), 300);
      expect(axis.outline(nan).density.every((d) => d === 0)).toBe(true);
      expect(axis.ticks.length).toBeGreaterThan(1);
    }
  });

  it("marks what a format loses", () => {
    const wide = histogram({ [binOf(1e-10)]: 1, [binOf(1e6)]: 1 });
    const axis = valueAxis("log", reachOf([wide]), 500);
    const [under, beyond] = lostZones(axis, float16.vanish, float16.overflow);
    expect(under).toEqual([axis.zero[1], axis.x(2 ** -25)]);
    expect(beyond).toEqual([axis.x(65520), 500]);
    const inside = valueAxis("log", reachOf([normal]), 500);
    expect(lostZones(inside, float16.vanish, float16.overflow)).toEqual([]);
  });
});

describe("paths", () => {
  it("join neighbours and leave gaps", () => {
    const outline = { x: Float64Array.from([0, 5, 5, 10, 20, 25]), density: Float64Array.from([1, 2, 0.5]) };
    expect(outlinePath(outline, 10, 15)).toBe("M0 0V-10H5V-15H10V0M20 0V-5H25V0");
    expect(outlinePath({ x: new Float64Array(0), density: new Float64Array(0) }, 1, 1)).toBe("");
  });

  it("are scaled to the usual peak, as long as the highest fits", () => {
    const peaks = (list: readonly number[]) =>
      list.map((p) => ({ x: new Float64Array(2), density: Float64Array.of(p, p / 2) }));
    expect(heightScale(peaks([1, 1, 1]), 10, 40)).toBe(20);
    expect(heightScale(peaks([1, 1, 3]), 10, 40)).toBeCloseTo(40 / 3);
    expect(heightScale(peaks([1, 1, 100]), 10, 40)).toBe(10);
    expect(heightScale(peaks([]), 10, 40)).toBe(1);
  });
});

describe("words", () => {
  const at = (value: number) => histogram({ [binOf(value)]: 100 });

  it("say what became of a layer", () => {
    const fell = over([at(1e-2), at(2e-5)], 50);
    expect(verdictOverSteps(fell, 1, float16, null)).toEqual({
      severity: "warning",
      text: expect.stringMatching(
        /^Median magnitude fell by a factor of \d+ since step 0; nothing would be lost in float16$/,
      ),
    });
    expect(verdictOverSteps(over([at(1), at(1.2)]), 1, null, null)).toEqual({
      severity: "ok",
      text: "Median magnitude stays within a factor of 2 since step 0",
    });
    const lost = verdictOverSteps(over([at(1e-9), at(1e-9)]), 1, float16, null);
    expect(lost?.text).toContain("100 % would underflow to zero in float16 without loss scaling");
    expect(lost?.severity).toBe("info");
    expect(verdictOverSteps(over([at(1e-9), at(1e-9)]), 1, float16, float16)?.severity).toBe("warning");
    expect(verdictOverSteps(over([at(1)]), 0, null, null)?.text).toBe("Median magnitude 1.22 at step 0");
  });

  it("say first what is not finite, then what is all zero, then what is missing", () => {
    const broken = histogram({ 254: 3, 510: 1 });
    expect(verdictOverSteps(over([at(1), broken, at(1)], 5), 2, null, null)).toEqual({
      severity: "critical",
      text: "Values are infinite since step 5, 25 % there",
    });
    const zero = histogram({ 0: 4 });
    const silent = over([zero, at(1), zero, zero], 10);
    expect(verdictOverSteps(silent, 3, null, null)?.text).toBe("Every value is exactly zero since step 20");
    expect(verdictOverSteps(over([zero, zero]), 1, null, null)?.text).toBe("Every value is exactly zero since step 0");
    expect(verdictOverSteps(over([histogram({})]), 0, null, null)?.text).toBe("Nothing was measured at step 0");
    expect(verdictOverSteps(over([]), -1, null, null)).toBeNull();
  });

  it("say how the layers compare", () => {
    const rows: Histograms = {
      kind: "gradient",
      row: null,
      steps: Float64Array.of(9),
      list: [at(1e-9), at(1), histogram({ 0: 4 }), histogram({})],
    };
    const name = (r: number) => `row ${r}`;
    const verdict = verdictOverDepth(rows, float16, name, "layer");
    expect(verdict?.severity).toBe("warning");
    expect(verdict?.text).toMatch(
      /^Median magnitudes differ by 9 orders of magnitude at step 9, from \S+ in row 0 to \S+ in row 1; all zero in row 2; 1 layer would lose 1 % or more in float16 without loss scaling$/,
    );
    const broken = { ...rows, list: [at(1), nan, nan] };
    expect(verdictOverDepth(broken, null, name, "layer")?.text).toBe(
      "NaN or Inf at step 9 in 2 layers, first in row 1",
    );
  });

  it("name bins by their exact bounds", () => {
    expect([0, 512, 254, 766, 510, 1022, 511].map((bin) => binLabel(bin))).toEqual([
      "0",
      "−0",
      "1 to 1.5",
      "−1.5 to −1",
      "Inf",
      "−Inf",
      "NaN",
    ]);
  });

  it("read out a bin and the whole", () => {
    const some = histogram({ 0: 50, 254: 25, 766: 24, 511: 1 });
    const parts = readoutOf(some, 254, float16);
    expect(parts[0]).toBe("1 to 1.5: 25 of 100 (25 %), 100 % up to here");
    expect(readoutOf(some, -254, null)[0]).toBe("−1.5 to −1: 24 of 100 (24 %), 24 % up to here");
    expect(readoutOf(some, 0, null)[0]).toBe("zero: 50 of 100 (50 %), 75 % up to here");
    expect(parts.slice(2)).toEqual(["zero 50 %", "NaN 1 %", "lost in float16 0 %"]);
    expect(readoutOf(histogram({}), null, null)).toEqual(["not measured"]);
  });

  it("give a loss as a range where the limit cuts a bin", () => {
    expect(lossText({ under: 0.1, overLow: 0, overHigh: 0 })).toBe("10 %");
    expect(lossText({ under: 0.1, overLow: 0, overHigh: 0.2 })).toBe("10–30 %");
  });
});
