import { describe, expect, it } from "vitest";
import { BINS, binOf, EDGES, HALF, INFINITY_BIN, isFiniteBin, magnitudeBin, orderOf } from "./bins";
// Made and checked by `tests/torchvitals_tb/test_packing.py`, with NumPy's bits and PyTorch's casts.
import golden from "./bins.golden.json";
import { BrokenPayload } from "./container";
import { FORMATS, formatOf, lossOf, lostAtLeast, lostAtMost } from "./formats";
import { countIn, type Histogram, histogramOf, meanOf, parseHistograms, shareUpTo, summaryOf } from "./histograms";
import { container, histogram } from "./testing";

const values = [...new Float32Array(Uint32Array.from(golden.bits).buffer)];

/** Counted here, value by value. */
function counted(numbers: readonly number[]): Histogram {
  const counts: Record<number, number> = {};
  for (const value of numbers) counts[binOf(value)] = (counts[binOf(value)] ?? 0) + 1;
  return histogram(counts);
}

describe("bins", () => {
  it("are those of the writer", () => {
    expect(values.map(binOf)).toEqual(golden.bins);
  });

  it("begin at their edges and end before the next one", () => {
    for (let m = 1; m < INFINITY_BIN; m++) {
      const edge = EDGES[m] as number;
      expect(binOf(edge)).toBe(m);
      expect(binOf(-edge)).toBe(m + HALF);
      // The float32 just below.
      const below = new Float32Array(new Uint32Array([(m << 22) - 1]).buffer)[0] as number;
      expect(binOf(below)).toBe(m - 1);
      expect(below).toBeLessThan(edge);
    }
    expect(EDGES[1]).toBe(2 ** -127);
    expect(EDGES[254]).toBe(1);
    expect(EDGES[255]).toBe(1.5);
    expect(EDGES[INFINITY_BIN]).toBe(2 ** 128);
    expect(magnitudeBin(1e300)).toBe(INFINITY_BIN - 1);
  });

  it("have an order, in which the two zeros are one", () => {
    const finite = Array.from({ length: BINS }, (_, bin) => bin).filter(isFiniteBin);
    const byValue = finite.map((bin) => (bin < HALF ? (EDGES[bin] as number) : -(EDGES[bin - HALF] as number)));
    finite.forEach((bin, i) => {
      expect(Math.sign(orderOf(bin)) === Math.sign(byValue[i] as number)).toBe(true);
    });
    expect([0, 512, 254, 766].map(orderOf)).toEqual([0, 0, 254, -254]);
  });
});

describe("formats", () => {
  const whole = counted(values.filter((v) => Number.isFinite(v)));
  for (const format of FORMATS) {
    it(`lose what a cast to ${format.label} loses`, () => {
      const [under, over] = golden.lost[format.id as keyof typeof golden.lost] as [number, number];
      const loss = lossOf(whole, format);
      expect(Math.round(loss.under * whole.total)).toBe(under);
      expect(Math.round(loss.overLow * whole.total)).toBeLessThanOrEqual(over);
      expect(Math.round(loss.overHigh * whole.total)).toBeGreaterThanOrEqual(over);
      expect(lostAtMost(loss)).toBeGreaterThanOrEqual(lostAtLeast(loss));
    });
  }

  it("lose nothing of zero, infinity and NaN, which are said on their own", () => {
    const [float16] = FORMATS;
    if (!float16) throw new Error("no formats");
    expect(lossOf(histogram({ 0: 5, 512: 5, 510: 1, 1022: 1, 511: 1 }), float16)).toEqual({
      under: 0,
      overLow: 0,
      overHigh: 0,
    });
    // A bin that the limit cuts: between none and all of it.
    expect(lossOf(histogram({ [binOf(60000)]: 3, [binOf(1)]: 1 }), float16)).toEqual({
      under: 0,
      overLow: 0,
      overHigh: 0.75,
    });
  });

  it("are found by PyTorch's names", () => {
    const names = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", null];
    expect(names.map((n) => formatOf(n)?.id ?? null)).toEqual(["float16", "bfloat16", "e4m3", "e5m2", null, null]);
  });
});

describe("summaries", () => {
  it("tell apart zero, infinity and NaN", () => {
    const summary = summaryOf(histogram({ 0: 3, 512: 2, 254: 5, 766: 1, 510: 2, 1022: 1, 511: 4, 1023: 1 }));
    expect(summary).toMatchObject({ total: 19, zero: 5, infinite: 3, nan: 5, negative: true, positive: true });
    expect([summary.low, summary.high]).toEqual([254, 254]);
  });

  it("have percentiles within the right bin", () => {
    const numbers = Array.from({ length: 2000 }, (_, i) => (i % 2 ? 1 : -1) * 1.001 ** i);
    const { p1, p50, p99 } = summaryOf(counted([...numbers, 0, 0, 0]));
    const sizes = numbers.map(Math.abs).sort((a, b) => a - b);
    for (const [found, at] of [
      [p1, 20],
      [p50, 1000],
      [p99, 1980],
    ] as const) {
      expect(Math.abs(Math.log2(found / (sizes[at] as number)))).toBeLessThan(0.3);
    }
    expect(summaryOf(histogram({ 0: 9 })).p50).toBeNaN();
  });

  it("count up to a value and within a bin", () => {
    const some = histogram({ 0: 2, 512: 1, 254: 3, 766: 4, 511: 90 });
    expect([-300, -254, 0, 253, 254].map((order) => shareUpTo(some, order))).toEqual([0, 0.4, 0.7, 0.7, 1]);
    expect([0, 254, -254, 9].map((order) => countIn(some, order))).toEqual([3, 3, 4, 0]);
  });

  it("average with the same weight for each member, and leave out what is empty", () => {
    const mean = meanOf([histogram({ 5: 1 }), histogram({ 5: 50, 9: 50 }), histogram({})]);
    expect([...mean.bins]).toEqual([5, 9]);
    expect([...mean.counts]).toEqual([0.75, 0.25]);
    const same = histogram({ 7: 3 });
    expect(meanOf([histogram({}), same])).toBe(same);
  });
});

describe("parseHistograms", () => {
  const arrays = {
    steps: [Float64Array.from([3, 7]), 2],
    starts: [Uint32Array.from([0, 2, 2]), 3],
    bins: [Uint16Array.from([4, 600]), 2],
    counts: [Uint32Array.from([10, 30]), 2],
  } as const;

  it("cuts the entries into histograms", () => {
    const found = parseHistograms(container(arrays, { kind: "weight", row: "a" }));
    expect(found.list.map((h) => [[...h.bins], [...h.counts], h.total])).toEqual([
      [[4, 600], [10, 30], 40],
      [[], [], 0],
    ]);
    expect([found.kind, found.row]).toEqual(["weight", "a"]);
    expect(parseHistograms(container(arrays, { kind: "weight" })).row).toBeNull();
    const node = { key: "g:x", rows: [0, 1] };
    expect(histogramOf(found, node)).toBe(histogramOf(found, node));
  });

  it("refuses what does not add up", () => {
    const broken = { ...arrays, starts: [Uint32Array.from([0, 3]), 2] } as const;
    expect(() => parseHistograms(container(broken))).toThrow(BrokenPayload);
  });
});
