import { describe, expect, it } from "vitest";
import { packHex } from "../../base/ramps";
import { logScale } from "../../base/scales";
import { type Diagnosis, parseDiagnosis } from "../../data/diagnosis";
import { type Domain, domainOf } from "../../data/domain";
import { MISSING, NONFINITE } from "../../data/series";
import { layer, seriesOf } from "../../data/testing";
import { layerTree, nodeAt, type TreeNode } from "../../data/tree";
import { factsOf } from "./facts";
import { inkOn, paintOf } from "./paint";
import { manifestOf, weight } from "./testing";
import { STATISTICS, Vitals } from "./vitals";

const manifest = manifestOf(
  ["h.0.a", "h.0.b", "h.1.a"].map((name) => layer(name)),
  [],
  [weight("h.0.a.weight"), weight("h.0.a.bias"), weight("h.1.a.weight")],
);
const tree = layerTree(manifest.layers);
const at = (address: string) => nodeAt(tree, address) as TreeNode;

const loaded = (rows: number[][], vital: "gradient" | "update") => {
  const series = seriesOf([0, 10, 20], rows);
  return { series, domain: domainOf(series, STATISTICS[vital]) };
};
const gradient = loaded([[1, 1, 1], [1, 1e-6, Number.POSITIVE_INFINITY], [1, 2, 1]], "gradient"); // biome-ignore format: rows
const update = loaded([[1e-3, 1e-3, 1e-3], [1e-3, 0.5, 1e-3], [1e-3, 1e-3, 1e-3]], "update"); // biome-ignore format: rows

const diagnosis: Diagnosis = parseDiagnosis({
  findings: [
    { code: "dead-units", severity: "warning", layers: ["h.0.b"], effects: [] },
    {
      code: "update-too-large",
      severity: "critical",
      layers: ["h.0.a.bias"],
      effects: [{ code: "non-finite", severity: "info", layers: ["h.0.b"], effects: [] }],
    },
  ],
});

const vitals = (step: number | null) =>
  new Vitals(factsOf(manifest), manifest, { gradient, activation: null, update }, null, diagnosis, step);

describe("Vitals", () => {
  it("gives a group its worst member at the cursor step, the newest without one", () => {
    expect(vitals(10).cell(at("h.0.*"), "gradient").value).toBeCloseTo(1e-6, 12);
    expect(vitals(15).cell(at("h.0.b"), "gradient").value).toBeCloseTo(1e-6, 12);
    expect(vitals(null).cell(at("h.0.*"), "gradient").state).toBe(NONFINITE);
    expect(vitals(null).cell(at("h.1.a"), "gradient").value).toBe(1);
  });

  it("gives a layer the worst of its parameters", () => {
    expect(vitals(10).cell(at("h.0.a"), "update").value).toBe(0.5);
    expect(vitals(10).cell(at("h.0.b"), "update").state).toBe(MISSING);
  });

  it("knows since when something was not finite", () => {
    expect(vitals(null).brokenSince(at("h.0.*"))).toBe(20);
    expect(vitals(null).brokenSince(at("h.1.a"))).toBeNaN();
  });

  it("finds the findings of a row by layer, by parameter and among effects", () => {
    expect(vitals(null).found(at("h.0.a"))).toEqual({ severity: "critical", codes: ["update-too-large"], layers: 1 });
    expect(vitals(null).found(at("h.0.b"))).toEqual({
      severity: "warning",
      codes: ["dead-units", "non-finite"],
      layers: 1,
    });
    expect(vitals(null).found(at("h.0.*"))).toMatchObject({ severity: "critical", layers: 2 });
    expect(vitals(null).found(at("h.1.a"))).toBeNull();
  });

  it("says nothing of what was not recorded", () => {
    expect(vitals(null).cell(at("h.0.a"), "activation").state).toBe(MISSING);
    expect(vitals(null).deadShare(at("h.0.a"))).toBeNaN();
  });
});

describe("paintOf", () => {
  const theme = {
    dark: false,
    zeroPixel: packHex("#d9dce1"),
    ramps: { sequential: Uint32Array.from({ length: 256 }, (_, i) => 0xff000000 | i), diverging: new Uint32Array(256) },
  } as never;
  const domain = { scale: logScale(1e-6, 1) } as unknown as Domain;
  const paint = (value: number, state = 0) => paintOf({ value, state, row: 0 }, domain, "log", theme);

  it("takes the place on the scale, and marks what has none", () => {
    expect(paint(1e-3)).toMatchObject({ state: "value", fill: "rgb(128 0 0)" });
    expect(paint(0)).toMatchObject({ state: "zero", fill: "rgb(217 220 225)" });
    expect(paint(Number.NaN, MISSING)).toMatchObject({ state: "missing", fill: null });
    expect(paint(1, NONFINITE)).toMatchObject({ state: "nonfinite", fill: null });
  });

  it("writes so that it can be read on every colour", () => {
    const channel = (c: number) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    for (let grey = 0; grey < 256; grey++) {
      const light = channel(grey);
      const ink = inkOn((0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0) === "#000000" ? 0 : 1;
      const contrast = (Math.max(light, ink) + 0.05) / (Math.min(light, ink) + 0.05);
      expect(contrast).toBeGreaterThanOrEqual(4.5);
    }
  });
});
