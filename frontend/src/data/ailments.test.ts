import { describe, expect, it } from "vitest";
import { belongs, sharesOfSeries, sharesOfSilence, sinceOf, tallyOf, usualAilment, verdictOf } from "./ailments";
import { parseDead } from "./dead";
import type { Manifest } from "./manifest";
import { container, layer, seriesOf } from "./testing";

const { NaN: nan } = Number;
const data = parseDead(
  container(
    {
      steps: [Float64Array.of(10, 20), 2],
      units: [Uint32Array.of(100, 100, 8, 0, 50), 5],
      dead: [Uint32Array.of(60, 12, 0, 0, 0), 5],
      first_dead: [Float64Array.of(900, 10, nan, nan, nan), 5],
      born_dead: [Uint32Array.of(0, 12, 0, 0, 0), 5],
      dormant: [Uint32Array.of(0, 0, 3, 0, 0), 5],
      observations: [Float64Array.of(5000, 5000, 5000, 0, 100), 5],
      silent: [new Float32Array(10), 2, 5],
    },
    { window_observations: 2000 },
  ),
);
const relu = { reachesZero: true, function: "relu" };
const layers = [
  layer("a", relu),
  layer("b", relu),
  layer("tanh", { function: "tanh", bounded: true }),
  layer("pool"),
  layer("rare", relu),
];
const silence = sharesOfSilence(data);
const dead = layers.map((l, i) => verdictOf("dead", l, i, data, silence));
const shares = sharesOfSeries(
  seriesOf(
    [0, 10, 20, 30],
    [[], [], [0.2, 0, 0.25, 0.375], [nan, nan, nan, nan], []].map((r) => (r.length ? r : [0, 0, 0, 0])),
  ),
);

describe("who is dead", () => {
  it("judges what can be judged and says why it does not judge the rest", () => {
    expect(dead.map((r) => r.kind)).toEqual(["measured", "measured", "other", "none", "few"]);
    expect(dead.map((r) => r.severity)).toEqual(["critical", "warning", "ok", "ok", "ok"]);
    expect(dead[0]).toMatchObject({ count: 60, share: 0.6, since: 900, born: 0 });
    expect(dead[2]).toMatchObject({ dormant: 3 });
    expect(dead[4]).toMatchObject({ observations: 100, needed: 2000 });
  });

  it("asks for as many values as the layer's own window", () => {
    const own = { ...data, windows: Float64Array.of(39200, 39200, 2000, 2000, 50) };
    expect(verdictOf("dead", layer("rare", relu), 4, own, silence).kind).toBe("measured");
  });
});

describe("who is dormant", () => {
  it("counts by the records what is never exactly zero, and dates it by what was measured on each step", () => {
    const found = layers.map((l, i) => verdictOf("dormant", l, i, data, shares));
    expect(found.map((r) => r.kind)).toEqual(["other", "other", "measured", "none", "other"]);
    expect(found[2]).toMatchObject({ count: 3, share: 3 / 8, since: 20, severity: "ok" });
  });

  it("goes by what was measured where units were not recorded", () => {
    const bare = {
      ...data,
      steps: new Float64Array(0),
      observations: new Float64Array(5),
      dormant: new Uint32Array(5),
    };
    expect(verdictOf("dormant", layer("tanh"), 2, bare, shares)).toMatchObject({
      kind: "measured",
      units: 8,
      count: 3,
    });
    expect(verdictOf("dead", layer("a", relu), 0, { ...bare, dead: new Uint32Array(5) }, null).kind).toBe("few");
  });
});

describe("who is saturated", () => {
  it("knows a share of each bounded layer, and no units", () => {
    const found = layers.map((l, i) => verdictOf("saturated", l, i, data, shares));
    expect(found.map((r) => r.kind)).toEqual(["other", "other", "measured", "none", "other"]);
    expect(found[2]).toMatchObject({ count: nan, share: 0.375, since: 20 });
    expect(verdictOf("saturated", layer("x", { bounded: true }), 3, data, shares).kind).toBe("few");
  });
});

describe("since when", () => {
  it("is the start of the last unbroken time above the mark; what was not measured breaks nothing", () => {
    const series = sharesOfSeries(
      seriesOf(
        [0, 10, 20, 30],
        [
          [0.5, nan, 0.2, 0.3],
          [0, 0.4, 0, 0],
          [0.2, 0.1, nan, 0.2],
        ],
      ),
    );
    expect([0, 1, 2, 9].map((row) => sinceOf(series, row, 0.15))).toEqual([0, nan, 30, nan]);
    expect(sinceOf(sharesOfSilence({ ...data, silent: Float32Array.of(0, 0, 1, 0, 0, 1, 0, 1, 0, 0) }), 0, 0)).toBe(20);
  });
});

describe("several layers as one", () => {
  it("show the worst, not the mean", () => {
    expect(tallyOf("dead", dead, [0, 1, 2, 3, 4])).toMatchObject({
      units: 200,
      count: 72,
      judged: 2,
      hit: 2,
      worst: 0,
      worstShare: 0.6,
      since: 10,
      severity: "critical",
    });
    expect(tallyOf("dead", dead, [2, 3])).toMatchObject({ judged: 0, worst: -1 });
  });

  it("are concerned since the first of them is, whatever is not known of others", () => {
    const [some] = dead;
    if (!some) throw new Error("no verdict");
    const since = (...steps: number[]) =>
      tallyOf(
        "dead",
        steps.map((step) => ({ ...some, since: step })),
        [...steps.keys()],
      ).since;
    expect([since(10, nan), since(nan, 10), since(20, 10)]).toEqual([10, 10, 10]);
  });
});

describe("the question", () => {
  it("is what the model can suffer from", () => {
    const usual = (...rows: (typeof layers)[number][]) => usualAilment({ layers: rows } as unknown as Manifest);
    const [a, , tanh, pool] = layers as [
      (typeof layers)[number],
      unknown,
      (typeof layers)[number],
      (typeof layers)[number],
    ];
    const gelu = layer("gelu", { function: "gelu" });
    expect([usual(pool), usual(tanh, a), usual(tanh, pool), usual(gelu, tanh)]).toEqual([
      "dead",
      "dead",
      "saturated",
      "dormant",
    ]);
  });

  it("lists the layers it can befall", () => {
    const listed = (ailment: "dead" | "dormant" | "saturated") =>
      layers.filter((l, i) => belongs(ailment, l, dead[i])).map((l) => l.name);
    expect(listed("dead")).toEqual(["a", "b", "tanh", "rare"]);
    expect(listed("dormant")).toEqual(["tanh"]);
    expect(listed("saturated")).toEqual(["tanh"]);
  });
});
