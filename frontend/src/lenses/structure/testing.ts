/** Helpers of the tests: models as manifests. */
import type { Layer, Manifest, Parameter } from "../../data/manifest";
import { layerTree } from "../../data/tree";
import { factsOf } from "./facts";
import { foldIdentical } from "./identical";

export function manifestOf(
  layers: readonly Layer[],
  edges: readonly (readonly [number, number])[] = [],
  parameters: readonly Parameter[] = [],
): Manifest {
  return { run: "run", layers, edges, parameters, statistics: [], notObserved: new Map() } as unknown as Manifest;
}

export function weight(name: string, shape: readonly number[] = [8, 4], trainable = true): Parameter {
  return { name, layer: name.slice(0, name.lastIndexOf(".")), shape, trainable };
}

export function folded(manifest: Manifest) {
  const facts = factsOf(manifest);
  return { facts, tree: foldIdentical(layerTree(manifest.layers), facts) };
}
