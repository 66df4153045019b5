/** What to look at and how, kept in the address: other lenses may link here with these. */
import { FORMATS, type Format, formatOf } from "../../data/formats";
import type { Manifest } from "../../data/manifest";
import { nodeAt, type TreeNode } from "../../data/tree";
import { choice } from "../../data/view";

export const KINDS = ["gradient", "activation", "weight", "weight_gradient"] as const;
export const KIND_LABELS: Readonly<Record<string, string>> = {
  gradient: "Gradient",
  activation: "Activation",
  weight: "Weight",
  weight_gradient: "Weight gradient",
};

export const hist = choice("hist", KINDS);
export const by = choice("by", ["steps", "depth"]);
export const scale = choice("scale", ["log", "linear"]);
/** "own": that of the layer, or float16 where it has none of these. */
export const format = choice("format", ["own", "float16", "bfloat16", "e4m3", "e5m2", "none"]);

export const rowsOf = (kind: string): "layers" | "parameters" => (kind.startsWith("weight") ? "parameters" : "layers");

/** The kind in force: the one asked for if the run has it. */
export function kindIn(manifest: Manifest): string | null {
  const [first = null] = manifest.histograms;
  return manifest.histograms.includes(hist.value) ? hist.value : first;
}

/** A parameter is used in the format its layer computes in. */
export function ownFormat(manifest: Manifest, kind: string, row: number): Format | null {
  if (rowsOf(kind) === "layers") return formatOf(manifest.layers[row]?.dtype);
  const owner = manifest.parameters[row]?.layer;
  return formatOf(manifest.layers.find((layer) => layer.name === owner)?.dtype);
}

/** The format whose limits are drawn; null: none. */
export function formatFor(own: Format | null): Format | null {
  if (format.value === "own") return own ?? (FORMATS[0] as Format);
  return FORMATS.find((f) => f.id === format.value) ?? null;
}

/** The node an address means in this tree; of a layer its first parameter, of a parameter its layer. */
export function chosenIn(tree: TreeNode, manifest: Manifest, kind: string, address: string | null): TreeNode | null {
  if (address === null) return null;
  const found = nodeAt(tree, address);
  if (found) return found;
  const other =
    rowsOf(kind) === "parameters"
      ? manifest.parameters.find((p) => p.layer === address)?.name
      : manifest.parameters.find((p) => p.name === address)?.layer;
  return other === undefined ? null : nodeAt(tree, other);
}
