import { describe, expect, it } from "vitest";
import { domainOf } from "../../data/domain";
import { FINITE, NONFINITE } from "../../data/series";
import { statisticOf } from "../../data/statistics";
import { layer, seriesOf } from "../../data/testing";
import { inLines, layerTree, leavesOf, visibleRows } from "../../data/tree";
import { csvOf } from "./export";
import { HeatModel } from "./model";
import { nonFiniteIn, verdictOf } from "./verdict";

const { NaN: nan } = Number;
const tree = layerTree([layer("a.x"), layer("a.y"), layer("b")]);
const statistic = statisticOf("gradient/rms");

function model(rows: readonly (readonly number[])[], width = 100): HeatModel {
  const series = seriesOf(rows[0]?.map((_, i) => i * 10) ?? [], rows);
  return new HeatModel({ series, domain: domainOf(series, statistic) }, statistic, "linear", null, width);
}

describe("HeatModel", () => {
  it("gives a closed group the value and the name of its worst child", () => {
    const m = model([
      [1e-3, 1e-9],
      [1e-3, 1e-3],
      [1e-3, 1e-3],
    ]);
    const group = tree.children[0];
    if (!group) throw new Error("no group");
    expect(m.cell(group, 1)).toEqual({ value: Math.fround(1e-9), state: 0, row: 0 });
    expect(m.span(group)).toMatchObject({ low: Math.fround(1e-9), high: Math.fround(1e-3), broken: false });
  });

  it("shows the same of all rows, by their groups or in lines, whatever was asked for before", () => {
    const rows = [
      [1e-3, nan, 7],
      [Number.POSITIVE_INFINITY, 1e-6, 2],
      [nan, 1e3, nan],
    ];
    const [fresh, drawn] = [model(rows), model(rows)];
    const leaves = leavesOf(tree).map((leaf) => ({ ...drawn.of(leaf) }));
    const whole = fresh.of(tree);
    expect(fresh.of(tree)).toBe(whole);
    expect(drawn.of(inLines(tree, 2))).toEqual(whole);
    expect(leavesOf(tree).map((leaf) => fresh.of(leaf))).toEqual(leaves);
    const at = (unit: number) => [whole.values[unit], whole.low[unit], whole.high[unit], whole.state[unit]];
    expect(at(10)).toEqual([...Float32Array.of(1e-3, 1e-3, 1e-3), NONFINITE]);
    expect(at(50)).toEqual([...Float32Array.of(1e-6, 1e-6, 1e3), FINITE]);
  });

  it("draws one step, nothing but NaN, and nothing at all", () => {
    expect(model([[1], [2], [3]]).of(tree).values[50]).toBe(1);
    const empty = model([
      [nan, nan],
      [nan, nan],
      [nan, nan],
    ]);
    expect(empty.loaded.domain.empty).toBe(true);
    expect(empty.cell(tree, 0)).toMatchObject({ row: -1 });
    expect(model([[], [], []]).sampleIn(tree, 0.5)).toBe(-1);
  });

  it("shows all steps where the range has none of them", () => {
    const { loaded, axis } = model([[1, 2, 3]]);
    const past = new HeatModel(loaded, statistic, "linear", [500, 600], 100);
    expect([past.axis.from, past.axis.to]).toEqual([axis.from, axis.to]);
    expect(past.window()).toEqual([0, 3]);
    const both = new HeatModel(loaded, statistic, "linear", [500, 600], 100, [0, 1000]);
    expect(both.window()).toEqual([0, 0]);
  });

  it("exports what is on screen, exactly, with groups by their worst", () => {
    const m = model([
      [0.1, nan],
      [0.2, 5e-7],
      [3, 4],
    ]);
    expect(csvOf({ main: m, below: null, a: m, b: null }, visibleRows(tree, new Set()))).toBe(
      "step,a (worst),b\n0,0.1,3\n10,5e-7,4\n",
    );
  });
});

describe("verdictOf", () => {
  const say = (m: HeatModel, sample: number) =>
    verdictOf(m.loaded, statistic, nonFiniteIn(m.loaded.series), sample, (r) => ["a.x", "a.y", "b"][r] ?? "");

  it("compares the ends of the network", () => {
    const m = model([
      [1e-9, 1e-3],
      [1e-6, 1e-3],
      [1e-3, 1e-3],
    ]);
    expect(say(m, 0)).toMatchObject({
      severity: "warning",
      text: "Gradient falls by 6 orders of magnitude from the last layer, b, to the first, a.x, at step 0",
    });
    expect(say(m, 1).severity).toBe("ok");
  });

  it("says where nothing gets through", () => {
    const m = model([
      [0, 0, 0.5],
      [0, 0, 1e-9],
      [1, 0, 1],
    ]);
    expect(say(m, 0).text).toBe("Gradient is exactly zero in 2 of 3 layers at step 0; it stops at a.y");
    expect(say(m, 1).text).toBe("Gradient is exactly zero in all layers at step 10");
    // The ends alone would keep their scale.
    expect(say(m, 2).text).toBe("From 1.00e−9 in a.y to 1 in b at step 20");
  });

  it("puts what is not finite before all else", () => {
    const m = model([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    m.loaded.series.state[1 * m.loaded.series.capacity + 1] = NONFINITE;
    expect(say(m, 1)).toEqual({ severity: "critical", text: "Not finite, first in a.y at step 10" });
  });
});
