import { describe, expect, it } from "vitest";
import { difference, inRows, MOST_RATIO, relative, sharedDomain } from "./derived";
import { domainOf } from "./domain";
import { jointRows, onlyIn } from "./joint";
import { parseManifest } from "./manifest";
import { median, rowMedians } from "./median";
import { FINITE, MISSING, NONFINITE, type Series } from "./series";
import { statisticOf } from "./statistics";
import { seriesOf } from "./testing";

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const rms = statisticOf("gradient/rms");
const loaded = (series: Series) => ({ series, domain: domainOf(series, rms) });
const row = (series: Series, r: number) =>
  Array.from(series.values.subarray(r * series.capacity, r * series.capacity + series.count));
const marks = (series: Series, r: number) =>
  Array.from(series.state.subarray(r * series.capacity, r * series.capacity + series.count));

describe("median", () => {
  it("is that of a full sort, whatever the numbers", () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    for (let trial = 0; trial < 300; trial++) {
      const n = 1 + Math.floor(random() * 40);
      const levels = 1 + Math.floor(random() * 8);
      const some = Float32Array.from({ length: n + 3 }, () =>
        trial % 2 ? Math.floor(random() * levels) : Math.exp(20 * random()),
      );
      const sorted = [...some.subarray(0, n)].sort((a, b) => a - b);
      const [lower, upper] = [sorted[(n - 1) >> 1] as number, sorted[n >> 1] as number];
      expect(median(some, n)).toBe((lower + upper) / 2);
    }
  });

  it("counts finite magnitudes above zero alone", () => {
    const series = seriesOf(
      [0, 1, 2, 3, 4],
      [
        [-1, 0, 4, inf, nan],
        [0, 0, nan, inf, 0],
      ],
    );
    expect([...rowMedians(series)]).toEqual([2.5, nan]);
  });
});

describe("relative", () => {
  it("divides each row by its own median and keeps what is no number", () => {
    const series = seriesOf(
      [0, 1, 2, 3, 4],
      [
        [2e-8, 1e-8, 0, nan, 4e-8],
        [0, 0, 0, inf, nan],
      ],
    );
    const { series: ratios, domain } = relative(loaded(series), rms);
    expect(row(ratios, 0)).toEqual([1, 0.5, 0, nan, 2]);
    expect(row(ratios, 1)).toEqual([0, 0, 0, inf, nan]);
    expect(marks(ratios, 1)).toEqual([FINITE, FINITE, FINITE, NONFINITE, MISSING]);
    expect(ratios.extent).toMatchObject({ low: 0.5, high: 2, zeros: 4, nonFinite: 1, missing: 2 });
    expect(domain.scale.unit(1)).toBe(0.5);
    expect(domain.scale.unit(2)).toBe(1);
  });

  it("keeps a colour scale that one odd step cannot stretch", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i === 3 ? 1e20 : 1 + (i % 7) / 10));
    const { domain } = relative(loaded(seriesOf([...values.keys()], [values])), rms);
    expect(domain.scale.high).toBe(2);
    expect(domain.clipped).toBe(true);
  });
});

describe("difference", () => {
  const a = seriesOf(
    [0, 10, 20, 30],
    [
      [1, 4, nan, 0],
      [1, inf, 1, 1],
    ],
  );

  it("takes the sample of the second run in force at each step of the first", () => {
    const b = seriesOf(
      [5, 15],
      [
        [2, 8],
        [1, 0],
      ],
    );
    const { series } = difference(a, b, rms);
    expect(row(series, 0)).toEqual([nan, 2, nan, nan]);
    expect(marks(series, 0)).toEqual([MISSING, FINITE, MISSING, MISSING]); // b is over at 25
    expect(row(series, 1)[2]).toBe(Math.fround(MOST_RATIO)); // something against nothing
    expect(marks(series, 1)).toEqual([MISSING, NONFINITE, FINITE, MISSING]);
    expect(series.extent).toMatchObject({ finite: 2, nonFinite: 1, missing: 5 });
  });

  it("is 1 where both are zero, and a plain difference of shares", () => {
    const zeros = seriesOf([0, 10, 20, 30], [[0, 0, 0, 0]]);
    expect(row(difference(zeros, zeros, rms).series, 0)).toEqual([1, 1, 1, 1]);
    const share = statisticOf("activation/zero_fraction");
    const [x, y] = [seriesOf([0, 1], [[0.5, 0.25]]), seriesOf([0, 1], [[0.25, 0.75]])];
    const { series, domain } = difference(x, y, share);
    expect(row(series, 0)).toEqual([0.25, -0.5]);
    expect(domain.scale.ticks(5).map((t) => t.label)).toEqual(["−50 pp", "0 pp", "+50 pp"]);
  });

  it("shares one scale between two runs", () => {
    const domain = sharedDomain(seriesOf([0, 1], [[1e-6, 1e-5]]), seriesOf([0, 1], [[1, 10]]), rms);
    expect([domain.scale.low, domain.scale.high]).toEqual([1e-6, 10]);
  });
});

describe("joint rows", () => {
  const manifest = (...names: string[]) =>
    parseManifest({
      layers: names.map((name) => ({ name })),
      parameters: names.map((name) => ({ name: `${name}.w` })),
    });

  it("match by name, with what only the second run has at the end", () => {
    const joint = jointRows(manifest("a", "b", "c"), manifest("c", "x", "a"));
    expect(joint.layers.map((l) => l.name)).toEqual(["a", "b", "c", "x"]);
    expect([...joint.second.parameters]).toEqual([2, -1, 0, 1]);
    expect([0, 1, 2, 3].map((r) => onlyIn(joint, "layers", r))).toEqual([null, "a", null, "b"]);
    const moved = inRows(
      seriesOf(
        [0, 1],
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ),
      joint.second.layers,
    );
    expect([0, 1, 2, 3].map((r) => row(moved, r))).toEqual([
      [5, 6],
      [nan, nan],
      [1, 2],
      [3, 4],
    ]);
  });

  it("leave a series alone that is in order already", () => {
    const series = seriesOf([0], [[1], [2]]);
    expect(inRows(series, Int32Array.of(0, 1))).toBe(series);
    expect(inRows(series, Int32Array.of(0, 1, -1))).toBe(series);
  });
});
