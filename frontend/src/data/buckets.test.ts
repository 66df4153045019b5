import { describe, expect, it } from "vitest";
import { stepAxis } from "../base/step_axis";
import { type Columns, columnsOf, emptyReduced, mergeChild, reduceRow, shownSample } from "./buckets";
import { FINITE, MISSING, NONFINITE } from "./series";
import { seriesOf } from "./testing";

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

function covered(columns: Columns): Set<number> {
  const seen = new Set<number>();
  for (let c = 0; c < columns.count; c++) {
    for (let i = columns.first[c] as number; i < (columns.last[c] as number); i++) seen.add(i);
  }
  return seen;
}

describe("columnsOf", () => {
  it("shows every sample, whatever the width and the spacing of steps", () => {
    const schedules = [
      Array.from({ length: 2000 }, (_, i) => i),
      Array.from({ length: 199 }, (_, i) => (i < 20 ? i : Math.round(20 * 1.035 ** (i - 20)) + i)),
      [0, 1, 2, 1000],
      [7],
    ];
    for (const steps of schedules) {
      const last = steps[steps.length - 1] as number;
      for (const kind of ["linear", "log"] as const) {
        for (const width of [1, 3, 100, 799, 4000]) {
          const axis = stepAxis(kind, steps[0] as number, last + 1);
          const columns = columnsOf(Float64Array.from(steps), steps.length, axis, width);
          expect(covered(columns).size).toBe(steps.length);
        }
      }
    }
  });

  it("holds a sample until the next one, and has nothing before the first", () => {
    const columns = columnsOf(Float64Array.of(10, 20), 2, stepAxis("linear", 0, 40), 4);
    expect([...columns.first]).toEqual([0, 0, 1, 1]);
    expect([...columns.last]).toEqual([0, 1, 2, 2]);
  });

  it("shows what is in force at the left edge of a range, and the step the range ends on", () => {
    const columns = columnsOf(Float64Array.of(0, 10, 20, 30), 4, stepAxis("linear", 15, 30), 3);
    expect(columns.first[0]).toBe(1);
    expect(columns.last[2]).toBe(4);
  });
});

describe("reduceRow", () => {
  const steps = Array.from({ length: 1000 }, (_, i) => i);
  const flat = (changes: Readonly<Record<number, number>>) => steps.map((i) => changes[i] ?? 1e-3 * (1 + (i % 7) / 50));
  const columns = columnsOf(Float64Array.from(steps), 1000, stepAxis("linear", 0, 1000), 50);

  it("keeps a single peak, a single dip, a zero", () => {
    const series = seriesOf(steps, [flat({ 333: 10, 717: 1e-9, 901: 0 })]);
    const out = emptyReduced(50);
    reduceRow(series, 0, columns, "extreme", out);
    expect(out.values[16]).toBe(10);
    expect(out.values[35]).toBe(Math.fround(1e-9));
    expect(out.values[45]).toBe(0);
  });

  it("marks a bucket with a single NaN or infinity among a thousand values", () => {
    const series = seriesOf(steps, [flat({ 333: inf, 717: nan })]);
    series.state[717] = NONFINITE;
    for (const reducer of ["extreme", "max", "magnitude"] as const) {
      const out = emptyReduced(50);
      reduceRow(series, 0, columns, reducer, out);
      expect(out.state[16]).toBe(NONFINITE);
      expect(out.state[35]).toBe(NONFINITE);
      expect(out.state[20]).toBe(FINITE);
      expect(out.values[16]).toBeCloseTo(1e-3, 3);
    }
  });

  it("says not measured only where nothing was", () => {
    const series = seriesOf(steps, [steps.map((i) => (i < 40 || i % 2 ? nan : 1))]);
    const out = emptyReduced(50);
    reduceRow(series, 0, columns, "extreme", out);
    expect([out.state[0], out.state[1], out.state[2]]).toEqual([MISSING, MISSING, FINITE]);
  });

  it("loses no mark at random", () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    };
    for (let round = 0; round < 30; round++) {
      const at = Math.floor(random() * 1000);
      const series = seriesOf(steps, [flat({ [at]: round % 2 ? inf : 1e5 })]);
      const width = 1 + Math.floor(random() * 3000);
      const wide = columnsOf(series.steps, series.count, stepAxis(round % 3 ? "linear" : "log", 0, 1000), width);
      const out = emptyReduced(width);
      reduceRow(series, 0, wide, "extreme", out);
      expect(round % 2 ? out.state.includes(NONFINITE) : out.values.includes(1e5)).toBe(true);
    }
  });
});

describe("mergeChild", () => {
  const series = seriesOf([0], [[1e-3], [1e-6], [5], [inf], [nan]]);
  const columns = columnsOf(series.steps, 1, stepAxis("linear", 0, 1), 1);
  const merge = (rows: readonly number[]) => {
    const out = emptyReduced(1);
    for (const row of rows) {
      const part = emptyReduced(1);
      reduceRow(series, row, columns, "extreme", part);
      mergeChild(out, part, "extreme", 1e-3);
    }
    return [out.values[0], out.state[0]];
  };

  it("shows the weakest child, or one that explodes", () => {
    expect(merge([0, 1])).toEqual([Math.fround(1e-6), FINITE]);
    expect(merge([0, 1, 2])).toEqual([5, FINITE]);
  });

  it("hands a child's mark up", () => {
    expect(merge([0, 3])).toEqual([Math.fround(1e-3), NONFINITE]);
    expect(merge([0, 4])).toEqual([Math.fround(1e-3), FINITE]);
    expect(merge([4])).toEqual([nan, MISSING]);
  });
});

describe("shownSample", () => {
  it("is the sample whose value the bucket shows", () => {
    const steps = Array.from({ length: 100 }, (_, i) => i);
    const series = seriesOf(steps, [steps.map((i) => (i === 42 ? 1e4 : 1)), steps.map((i) => (i === 57 ? inf : 1))]);
    const columns = columnsOf(series.steps, 100, stepAxis("linear", 0, 100), 10);
    expect(shownSample(series, [0], columns, 4, "extreme", 1)).toBe(42);
    expect(shownSample(series, [1], columns, 5, "extreme", 1)).toBe(57);
    expect(shownSample(series, [0, 1], columns, 5, "extreme", 1)).toBe(57);
  });
});
