import { describe, expect, it } from "vitest";
import { domainOf } from "../../data/domain";
import { MISSING } from "../../data/series";
import { statisticOf } from "../../data/statistics";
import { layer, seriesOf } from "../../data/testing";
import { layerTree, visibleRows } from "../../data/tree";
import { csvOf } from "./export";
import { pick, readingOf, shownIn, wholeOf } from "./shown";
import { comparison, verdictOf } from "./verdict";

const rms = statisticOf("gradient/rms");
const loaded = (steps: number[], rows: number[][]) => {
  const series = seriesOf(steps, rows);
  return { series, domain: domainOf(series, rms) };
};
const tree = layerTree([layer("g.x"), layer("g.y"), layer("z")]);
const a = loaded(
  [0, 10, 20],
  [
    [1, 1, 1e-9],
    [1, 1, 1],
    [1, 1, 1],
  ],
);
const b = {
  loaded: loaded(
    [0, 12],
    [
      [2, 2],
      [2, 4],
    ],
  ),
  rows: Int32Array.of(1, 0, -1),
};
const at = (how: Parameters<typeof pick>[3], other: Parameters<typeof pick>[1] = b) =>
  shownIn(pick(a, other, rms, how), "linear", null, 60);
const group = tree.children[0];
if (!group) throw new Error("no group");

describe("what the picture shows", () => {
  it("is the member of a group that differs most, and the numbers that it comes from", () => {
    const shown = at({ colour: "value", compare: "difference" });
    expect(shown.main.statistic.scale).toBe("ratio");
    const reading = readingOf(shown, group, 2);
    expect([reading.main.row, reading.a.value, reading.b.value]).toEqual([0, Math.fround(1e-9), 4]);
    expect(reading.difference).toEqual(reading.main);
    expect(readingOf(shown, tree.children[1] ?? group, 0)).toMatchObject({ b: { state: MISSING }, main: { row: -1 } });
  });

  it("has both runs on the steps of both when they stand beside each other", () => {
    const longer = { loaded: loaded([0, 40], [[2, 2]]), rows: Int32Array.of(0, -1, -1) };
    const shown = at({ colour: "relative", compare: "beside" }, longer);
    expect([shown.main.axis.from, shown.main.axis.to]).toEqual([0, 80]);
    expect(shown.below?.loaded.domain).toBe(shown.main.loaded.domain);
    // The first run ends at 30: from there on it is not measured, and the second goes on.
    const leaf = group.children[0] ?? group;
    // 60 columns: the one at 30 is the 22nd and still has something of it.
    expect(shown.main.of(leaf).state.indexOf(MISSING)).toBe(23);
    expect(shown.below?.of(leaf).state.includes(MISSING)).toBe(false);
    expect(shown.main.window()).toEqual([0, 3]);
  });

  it("shares the model of all steps with the overview, however many ranges were looked at in between", () => {
    const picked = pick(a, b, rms, { colour: "value", compare: "beside" });
    const whole = wholeOf(picked, "linear", 60);
    for (const to of [4, 8, 12, 16]) expect(shownIn(picked, "linear", [0, to], 60, whole).main).not.toBe(whole);
    const shown = shownIn(picked, "linear", null, 60, whole);
    expect([shown.main === whole, shown.a === whole]).toEqual([true, true]);
    expect(wholeOf(picked, "linear", 60)).not.toBe(whole); // it was not kept for so long
  });

  it("exports both runs and what lies between", () => {
    const csv = csvOf(at({ colour: "value", compare: "beside" }), visibleRows(tree, new Set()));
    expect(csv.split("\n").slice(0, 2)).toEqual([
      "step,g (worst) A,g (worst) B,g (worst) A ÷ B,z A,z B,z A ÷ B",
      "0,1,2,0.5,1,,",
    ]);
  });
});

describe("the sentence", () => {
  const name = (r: number) => ["g.x", "g.y", "z"][r] ?? "";
  const say = (x: number[], y: number[]) =>
    comparison(
      seriesOf(
        [7],
        x.map((v) => [v]),
      ),
      seriesOf(
        [7],
        y.map((v) => [v]),
      ),
      rms,
      0,
      name,
      { a: "one", b: "two" },
    );

  it("says where two runs differ most", () => {
    expect(say([1e-3, 1, 1], [1, 1, 1.5]).text).toBe("one is 1/1,000 of two in layer g.x at step 7, 1.00e−3 against 1");
    expect(say([1, 30, 1], [1, 1, 1e9]).text).toBe(
      "one is 9 orders of magnitude below two in layer z at step 7, 1 against 1.00e9; 2 of 3 layers differ 10 times or more",
    );
    expect(say([1, 0, 1], [1, 1, 1]).text).toBe("one is below two in layer g.y at step 7, 0 against 1");
    expect(say([1, 1, 1], [1, 1.5, 1])).toMatchObject({ severity: "ok" });
    expect(say([1, Number.POSITIVE_INFINITY], [1, 1])).toMatchObject({ severity: "critical" });
    expect(say([Number.NaN], [1]).text).toBe("No layer was measured in both runs at step 7");
  });

  it("says who strays farthest from its own median", () => {
    const shown = at({ colour: "relative", compare: "difference" }, null);
    const { loaded: main, statistic } = shown.main;
    expect(verdictOf(main, statistic, null, 2, name).text).toBe(
      "Farthest is layer g.x, 9 orders of magnitude below its own median at step 20",
    );
    expect(verdictOf(main, statistic, null, 0, name).severity).toBe("ok");
  });
});
