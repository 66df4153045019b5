import { describe, expect, it } from "vitest";
import { deadGroup, deadRow, parseDead } from "./dead";
import { container, layer } from "./testing";

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
  layer("gelu", { function: "gelu" }),
  layer("pool"),
  layer("rare", relu),
];
const rows = layers.map((l, i) => deadRow(data, l, i));

describe("deadRow", () => {
  it("judges what can be judged and says why it does not judge the rest", () => {
    expect(rows.map((r) => r.kind)).toEqual(["measured", "measured", "smooth", "none", "few"]);
    expect(rows.map((r) => r.severity)).toEqual(["critical", "warning", "ok", "ok", "ok"]);
    expect(rows[2]).toMatchObject({ dormant: 3 });
    expect(rows[4]).toMatchObject({ observations: 100, needed: 2000 });
  });

  it("asks for as many values as the layer's own window", () => {
    const own = { ...data, windows: Float64Array.of(39200, 39200, 2000, 2000, 50) };
    expect(deadRow(own, layer("rare", relu), 4).kind).toBe("measured");
  });
});

describe("deadGroup", () => {
  it("shows the worst child, not the mean", () => {
    expect(deadGroup(rows, [0, 1, 2, 3, 4])).toMatchObject({
      units: 200,
      dead: 72,
      judged: 2,
      hit: 2,
      worst: 0,
      worstShare: 0.6,
      since: 10,
      severity: "critical",
    });
    expect(deadGroup(rows, [2, 3])).toMatchObject({ judged: 0, worst: -1 });
  });
});
