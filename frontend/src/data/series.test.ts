import { describe, expect, it } from "vitest";
import { emptySeries, extend, FINITE, MISSING, markNonFinite, NONFINITE, sampleAt } from "./series";
import { container, seriesOf } from "./testing";

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

describe("extend", () => {
  it("turns steps of rows into rows of steps and tells missing from not finite", () => {
    const series = seriesOf(
      [1, 2, 5],
      [
        [1, nan, 3],
        [4, 5, inf],
      ],
    );
    expect([...series.values]).toEqual([1, nan, 3, 4, 5, inf]);
    expect([...series.state]).toEqual([FINITE, MISSING, FINITE, FINITE, FINITE, NONFINITE]);
  });

  it("appends steps and rows without moving what is there", () => {
    let series = seriesOf([1, 2], [[10, 20]]);
    for (let step = 3; step <= 40; step++) {
      const rows = step < 20 ? 1 : 2;
      series = extend(
        series,
        container({
          steps: [Float64Array.of(step), 1],
          values: [Float32Array.from({ length: rows }, (_, r) => step * 10 + r), 1, rows],
        }),
      );
    }
    expect(series.count).toBe(40);
    expect(series.rows).toBe(2);
    expect(series.values[39]).toBe(400);
    expect(series.values[series.capacity + 39]).toBe(401);
    // The second row did not exist before step 20: not measured, and not zero.
    expect(series.state[series.capacity + 5]).toBe(MISSING);
  });

  it("takes an empty answer", () => {
    const nothing = container({ steps: [new Float64Array(0), 0], values: [new Float32Array(0), 0, 3] });
    expect(extend(emptySeries("x", 0), nothing).count).toBe(0);
    expect(extend(seriesOf([1], [[2]]), nothing).count).toBe(1);
  });
});

describe("markNonFinite", () => {
  it("matches steps, also where the two differ", () => {
    const series = seriesOf([1, 2, 3, 4], [[1, nan, 3, 4]]);
    const marked = markNonFinite(series, seriesOf([2, 4, 9], [[0.5, 0, 1]]));
    expect(marked.extent.nonFinite).toBe(1);
    expect(markNonFinite(marked, seriesOf([2], [[0.5]]))).toBe(marked);
    expect([...marked.state]).toEqual([FINITE, NONFINITE, FINITE, FINITE]);
  });
});

describe("sampleAt", () => {
  it("is the sample in force", () => {
    const steps = Float64Array.of(0, 10, 20);
    expect([-5, 0, 9, 10, 25].map((s) => sampleAt(steps, 3, s))).toEqual([0, 0, 0, 1, 2]);
    expect(sampleAt(steps, 0, 5)).toBe(-1);
  });
});
