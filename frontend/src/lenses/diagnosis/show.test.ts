import { describe, expect, it } from "vitest";
import type { Manifest } from "../../data/manifest";
import { layer } from "../../data/testing";
import { describe as inWords, rangeOf, targetOf } from "./show";
import { diagnosisOf, evidenceJson, findingJson, type Json } from "./testing";

const manifest = {
  layers: ["a", "b", "c"].map((name) => layer(name)),
  parameters: ["a", "b"].map((name) => ({ name: `${name}.weight`, layer: name, shape: [2], trainable: true })),
} as unknown as Manifest;

const target = (more: Json, piece = 0) => {
  const { findings, steps } = diagnosisOf([findingJson(more)]);
  const [finding] = findings;
  if (!finding) throw new Error("no finding");
  return targetOf(finding, finding.evidence[piece], steps, manifest);
};

describe("Show me", () => {
  it("opens the statistic of the evidence with the root cause selected", () => {
    const found = target({
      layers: ["b", "a"],
      first_step: 100,
      last_step: 200,
      evidence: [evidenceJson({ statistic: "activation/rms", rows: ["a", "b", "c"] })],
    });
    expect(found).toEqual({
      lens: "gradient",
      stat: "activation/rms",
      units: null,
      layer: "b",
      step: 100,
      range: [75, 225],
    });
    expect(inWords(found)).toBe("Gradient flow: Activation rms of b from step 100");
  });

  it("opens Dead units, and there what it is about", () => {
    const dead = {
      code: "dead-units",
      evidence: [evidenceJson({ statistic: "activation/dead_fraction", rows: ["b"] })],
    };
    expect(target({ ...dead, layers: ["b"] })).toMatchObject({ lens: "dead", stat: null, units: "dead", layer: "b" });
    expect(target({ code: "dormant-units", layers: ["c"] })).toMatchObject({
      lens: "dead",
      units: "dormant",
      layer: "c",
    });
    const saturated = [evidenceJson({ statistic: "activation/saturated_fraction" })];
    const found = target({ code: "saturated-units", evidence: saturated });
    expect(found).toMatchObject({ lens: "dead", stat: null, units: "saturated" });
    expect(inWords(found)).toBe("Dead units: saturated of a from step 0");
  });

  it("opens further evidence where it belongs", () => {
    const evidence = [
      evidenceJson({ statistic: "activation/dead_fraction", rows: ["b"] }),
      evidenceJson({ statistic: "parameter/update_ratio", rows: ["b.weight"] }),
    ];
    expect(target({ code: "dead-units", layers: ["b"], evidence }, 1)).toMatchObject({
      lens: "gradient",
      stat: "parameter/update_ratio",
      layer: "b.weight",
    });
  });

  it("finds the row of a picture of parameters", () => {
    expect(target({ code: "update-too-large", layers: ["c", "b"] })).toMatchObject({
      stat: "parameter/update_ratio",
      layer: "b.weight",
    });
    expect(target({ code: "update-too-large", layers: ["a.weight"] }).layer).toBe("a.weight");
    expect(target({ code: "no-gradient", layers: ["gone"] }).layer).toBeNull();
    expect(target({ layers: ["gone"], evidence: [evidenceJson({ rows: ["x", "c"] })] }).layer).toBe("c");
  });

  it("shows some steps before and after, within the run", () => {
    const range = (first: number, last: number, steps: readonly [number, number] | null = [0, 400]) =>
      rangeOf({ firstStep: first, lastStep: last } as never, steps);
    expect(range(0, 400)).toBeNull();
    expect(range(300, 400)).toEqual([275, 400]);
    expect(range(7, 7)).toEqual([5, 9]);
    expect(range(0, 0, [0, 0])).toBeNull();
    expect(range(3, 4, null)).toBeNull();
  });
});
