/**
 * What a row is besides its numbers: parameters, calls, and with a second run what the two have in common.
 *
 * Rows are those of this run, in execution order, with the ones only the other run has where they run there.
 */
import type { Layer, Manifest } from "../../data/manifest";
import { layerTree, type TreeNode } from "../../data/tree";
import { foldIdentical } from "./identical";

export interface RowFacts extends Own {
  readonly layer: Layer;
  /** In which of the two runs; without a second one all are "both". */
  readonly where: "both" | "here" | "there";
  /** Row in this run's data; -1: only the other run has it. */
  readonly row: number;
  /** Parameters in the other run; NaN without one, and for a layer it lacks. */
  readonly otherParameters: number;
  /** Of its module in one forward pass. */
  readonly calls: number;
}

/** Of its module, on the row of the first call: a weight used twice is still one. */
interface Own {
  readonly parameters: number;
  readonly trainable: number;
  /** Rows in the data of parameters. */
  readonly parameterRows: readonly number[];
  /** Shapes of its parameters: layers that look alike have the same. */
  readonly weights: string;
}

const NOTHING: Own = { parameters: 0, trainable: 0, parameterRows: [], weights: "" };

const bare = (layer: Layer): string => (layer.call > 0 ? layer.name.replace(/@\d+$/, "") : layer.name);

/** By the name of the row that shows them, which is the module's. */
function ownParameters(manifest: Manifest): (layer: Layer) => Own {
  const owned = new Map<string, Own>();
  manifest.parameters.forEach(({ name, layer, shape, trainable }, row) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const known = owned.get(layer) ?? NOTHING;
    owned.set(layer, {
      parameters: known.parameters + size,
      trainable: known.trainable + (trainable ? size : 0),
      parameterRows: [...known.parameterRows, row],
      weights: `${known.weights} ${name.slice(layer.length)}:${shape.join("x")}${trainable ? "" : "-"}`,
    });
  });
  return (layer) => (layer.kind === "module" && layer.call === 0 && owned.get(layer.name)) || NOTHING;
}

export function factsOf(manifest: Manifest, other: Manifest | null = null): RowFacts[] {
  const extra = extraOf(manifest, other);
  const own = ownParameters(manifest);
  const ownThere = other && ownParameters(other);
  const there = new Map(other?.layers.map((layer) => [layer.name, layer]));
  const calls = new Map<string, number>();
  for (const layer of [...manifest.layers, ...[...extra.values()].flat()]) {
    calls.set(bare(layer), (calls.get(bare(layer)) ?? 0) + 1);
  }
  const facts = (layer: Layer, row: number): RowFacts => {
    const twin = there.get(layer.name);
    return {
      ...(row >= 0 ? own(layer) : NOTHING),
      layer,
      row,
      where: row < 0 ? "there" : other && !twin ? "here" : "both",
      otherParameters: ownThere && twin ? ownThere(twin).parameters : Number.NaN,
      calls: calls.get(bare(layer)) ?? 1,
    };
  };
  const only = (after: string | null) => (extra.get(after) ?? []).map((layer) => facts(layer, -1));
  return [...only(null), ...manifest.layers.flatMap((layer, row) => [facts(layer, row), ...only(layer.name)])];
}

/** Layers only the other run has, by the common layer they run after. */
function extraOf(manifest: Manifest, other: Manifest | null): Map<string | null, Layer[]> {
  const here = new Set(manifest.layers.map((layer) => layer.name));
  const extra = new Map<string | null, Layer[]>();
  let after: string | null = null;
  for (const layer of other?.layers ?? []) {
    if (here.has(layer.name)) after = layer.name;
    else extra.set(after, [...(extra.get(after) ?? []), layer]);
  }
  return extra;
}

export interface Totals {
  readonly parameters: number;
  readonly trainable: number;
  /** Of the same rows in the other run. */
  readonly otherParameters: number;
  readonly here: number;
  readonly there: number;
}

export function totalsOf(facts: readonly RowFacts[], rows: readonly number[]): Totals {
  const total = { parameters: 0, trainable: 0, otherParameters: 0, here: 0, there: 0, both: 0 };
  for (const i of rows) {
    const row = facts[i];
    if (!row) continue;
    total.parameters += row.parameters;
    total.trainable += row.trainable;
    total.otherParameters += row.otherParameters || 0;
    total[row.where]++;
  }
  return total;
}

/** The tree of these rows, identical blocks folded. The type has a place of its own in this lens. */
export function treeOf(facts: readonly RowFacts[], keep?: (row: number) => boolean): TreeNode {
  const layers = facts.map(({ layer }) => ({ ...layer, type: "" }));
  return foldIdentical(layerTree(layers, keep), facts);
}
