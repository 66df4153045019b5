import { describe, expect, it } from "vitest";
import { bandOf, outside, weightedRows } from "./expected";
import { parseManifest } from "./manifest";
import { seriesOf } from "./testing";

const WIDTHS = [64, 64, 16, 16, 64, 64, 4, 4];
const names = WIDTHS.map((_, i) => `l${i}`);
/** Linear layers with an activation after each. */
const manifest = parseManifest({
  layers: names.map((name, i) => ({ name, kind: "module", type: i % 2 ? "ReLU" : "Linear", shape: [32, WIDTHS[i]] })),
  parameters: names
    .filter((_, i) => i % 2 === 0)
    .flatMap((layer) => [
      { name: `${layer}.weight`, layer, shape: [8, 8] },
      { name: `${layer}.bias`, layer, shape: [8] },
    ]),
});
const weighted = weightedRows(manifest);
const series = (rows: number[], name = "gradient/rms") => ({
  ...seriesOf(
    [0],
    rows.map((v) => [v]),
  ),
  name,
});

describe("the expected band", () => {
  it("looks at layers with weights", () => {
    expect(weighted).toEqual([0, 2, 4, 6]);
  });

  it("keeps the norm of the gradient, so that wide layers have a smaller rms", () => {
    const norm = 1e-3;
    const band = bandOf(manifest, weighted, series(WIDTHS.map((w) => norm / Math.sqrt(w))), 0);
    expect(band).not.toBeNull();
    WIDTHS.forEach((width, row) => {
      const middle = Math.sqrt((band?.low[row] as number) * (band?.high[row] as number));
      expect(middle).toBeCloseTo(norm / Math.sqrt(width), 10);
    });
    // From a factor of 10 at the last layer with weights to the 10^4 of the rules at the first.
    expect((band?.high[6] as number) / (band?.low[6] as number)).toBeCloseTo(1e2, 6);
    expect((band?.high[0] as number) / (band?.low[0] as number)).toBeCloseTo(1e8, -1);
  });

  it("keeps the size of the signal from the first layer on", () => {
    const band = bandOf(manifest, weighted, series([2, 2, 2, 2, 2, 2, 2, 2], "activation/rms"), 0);
    expect([band?.low[0], band?.high[0]]).toEqual([0.2, 20]);
    expect(band?.low[6]).toBeCloseTo(2e-3);
    expect(band?.high[7]).toBeCloseTo(2e3);
  });

  it("counts who is outside, zeros included", () => {
    const rows = series([0, 1e-9, 1, 1, 1, 1, 1, 1e6]);
    const band = bandOf(manifest, weighted, rows, 0);
    expect(band && outside(band, rows, 0)).toEqual({ low: 2, high: 1, of: 8 });
  });

  it("says nothing of few layers, of silence at the anchor, and of what was not measured", () => {
    expect(bandOf(manifest, weighted.slice(1), series([1, 1, 1, 1, 1, 1, 1, 1]), 0)).toBeNull();
    expect(bandOf(manifest, weighted, series([1, 1, 1, 1, 1, 1, 0, 0]), 0)).toBeNull();
    expect(bandOf(manifest, weighted, series([Number.NaN, 1, 1, 1, 1, 1, 1, 1]), 0)).toBeNull();
    expect(bandOf(manifest, weighted, series([1, 1, 1, 1, 1, 1, 1, 1]), -1)).toBeNull();
  });
});
