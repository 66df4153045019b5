import { describe, expect, it } from "vitest";
import { ABSENT, ALIVE, lifeStates, RARE, SILENT, type UnitData } from "./units";

const { NaN: nan } = Number;
/** Five units, three records; in the second the layer did not run. */
const data: UnitData = {
  layer: "act",
  window: 2000,
  steps: Float64Array.of(100, 200, 300),
  observations: Float64Array.of(4000, 0, 4000),
  records: 3,
  units: 5,
  firing: Uint8Array.of(5, 0, 2, 9, 4, /**/ 0, 0, 0, 0, 0, /**/ 0, 0, 3, 9, 0),
  magnitude: Uint8Array.of(11, 0, 5, 11, 6, /**/ 0, 0, 0, 0, 0, /**/ 0, 0, 5, 11, 0),
  firingLevels: [0, 3e-5, 3e-4, 3e-3, 0.02, 0.06, 0.15, 0.28, 0.42, 0.58],
  magnitudeLevels: [0, ...Array.from({ length: 15 }, (_, i) => 2 ** (i - 10))],
  lastFired: Float64Array.of(100, nan, 300, 300, 100),
  dead: Uint8Array.of(1, 1, 0, 0, 1),
};

describe("lifeStates", () => {
  it("tells alive, rare, silent and not run apart", () => {
    expect([...lifeStates(data, false)]).toEqual([
      ...[ALIVE, SILENT, RARE, ALIVE, ALIVE],
      ...[ABSENT, ABSENT, ABSENT, ABSENT, ABSENT],
      ...[SILENT, SILENT, RARE, ALIVE, SILENT],
    ]);
  });

  it("judges smooth activations by magnitude: at most 2.5 % of the layer's is dormant", () => {
    // level 5 is 2^-6 = 1.6 %, level 6 is 3.1 %
    expect([...lifeStates(data, true)].slice(0, 5)).toEqual([ALIVE, SILENT, RARE, ALIVE, ALIVE]);
  });
});
