import { describe, expect, it } from "vitest";
import { type Manifest, parseManifest } from "./manifest";
import { callOf, neighbours, remarksOn, selectionOf, sizeOf } from "./selection";

const row = (name: string, more = {}) => ({ name, kind: "module", type: "Linear", shape: [4, 8], units: 8, ...more });
const manifest: Manifest = parseManifest({
  run: "r",
  layers: [
    row("stem"),
    row("enc.0.fc", { dtype: "bfloat16" }),
    row("enc.0.fc/relu", { kind: "function", type: "relu" }),
    row("enc.0.fc@1", { call: 1 }),
    row("encoder.out"),
    row("enc"),
  ],
  parameters: [
    { name: "stem.weight", layer: "stem", shape: [8, 3], trainable: false },
    { name: "enc.0.fc.weight", layer: "enc.0.fc", shape: [8, 8] },
    { name: "enc.0.fc.bias", layer: "enc.0.fc", shape: [] },
    { name: "enc.scale", layer: "enc.gate", shape: [8] },
  ],
  edges: [[0, 1], [1, 2], [2, 3], [1, 3], [3, 5], [9, 1], "x", [1]],
  not_observed: { "enc.0.fc": "RuntimeError: no" },
  self_check: { parameters_without_optimizer: ["enc.0.fc.bias"], layers_without_gradient: ["stem", "enc.0.fc/relu"] },
  steps: { first: 0, last: 9, samples: 10, skipped: [3] },
});

const names = (rows: readonly number[]) => rows.map((r) => manifest.layers[r]?.name);
const own = (address: string) => selectionOf(manifest, address).parameters.map(({ parameter }) => parameter.name);

describe("what is selected", () => {
  it("is a layer with the parameters of its module, in every call", () => {
    expect(selectionOf(manifest, "enc.0.fc@1")).toMatchObject({ kind: "layer", name: "enc.0.fc@1", rows: [3] });
    expect(own("enc.0.fc@1")).toEqual(["enc.0.fc.weight", "enc.0.fc.bias"]);
    expect(own("enc.0.fc/relu")).toEqual([]);
    expect(manifest.layers[1]?.dtype).toBe("bfloat16");
    expect(callOf(manifest, manifest.layers[3] as never)).toEqual([2, 2]);
  });

  it("is the layer of a parameter, or its module where that is no layer", () => {
    expect(selectionOf(manifest, "enc.0.fc.bias")).toMatchObject({ kind: "layer", name: "enc.0.fc", rows: [1] });
    expect(selectionOf(manifest, "enc.scale")).toMatchObject({ kind: "group", name: "enc.gate", rows: [] });
  });

  it("is a group with all that is inside, and nothing whose name only begins alike", () => {
    const group = selectionOf(manifest, "enc.*");
    expect(names(group.rows)).toEqual(["enc.0.fc", "enc.0.fc/relu", "enc.0.fc@1", "enc"]);
    expect(own("enc.*")).toEqual(["enc.0.fc.weight", "enc.0.fc.bias", "enc.scale"]);
  });

  it("is said to be unknown", () => {
    expect(selectionOf(manifest, "gone").kind).toBe("unknown");
    expect(selectionOf(manifest, "gone.*").kind).toBe("unknown");
  });
});

describe("around it", () => {
  it("stands what feeds it and what it feeds", () => {
    const { before, after } = neighbours(manifest, 1);
    expect(names(before)).toEqual(["stem"]); // not the row 9 that is not there
    expect(names(after)).toEqual(["enc.0.fc/relu", "enc.0.fc@1"]);
  });

  it("is said what was not measured and what stayed silent", () => {
    expect(remarksOn(manifest, selectionOf(manifest, "enc.0.fc"))).toEqual([
      "enc.0.fc was not measured: RuntimeError: no",
      "Trainable, and held by no optimizer: enc.0.fc.bias",
    ]);
    expect(remarksOn(manifest, selectionOf(manifest, "stem"))).toEqual([
      "The output of stem needs a gradient and got none",
    ]);
    expect(remarksOn(manifest, selectionOf(manifest, "enc.*"))).toHaveLength(3);
    expect(remarksOn(manifest, selectionOf(manifest, "encoder.out"))).toEqual([]);
  });

  it("counts the numbers of a parameter", () => {
    expect(manifest.parameters.map(sizeOf)).toEqual([24, 64, 1, 8]);
    expect(manifest.skipped).toEqual([3]);
  });
});
