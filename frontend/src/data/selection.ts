/** What the selected address means in a run: a layer, by itself or by a parameter of it, or a group of layers. */
import type { Layer, Manifest, Parameter } from "./manifest";
import { bareName } from "./tree";

/** A parameter and its row in the statistics of parameters. */
export interface OwnParameter {
  readonly parameter: Parameter;
  readonly row: number;
}

export interface Selection {
  /** Of the layer, the path of the group; what was selected where neither is known. */
  readonly name: string;
  readonly kind: "layer" | "group" | "unknown";
  readonly layer: Layer | null;
  /** Rows of the data: one of a layer. */
  readonly rows: readonly number[];
  readonly parameters: readonly OwnParameter[];
}

const within = (path: string, group: string): boolean =>
  group === "" || path === group || path.startsWith(`${group}.`) || path.startsWith(`${group}/`);

export function selectionOf({ layers, parameters }: Manifest, address: string): Selection {
  const owned = (wanted: (parameter: Parameter) => boolean): OwnParameter[] =>
    parameters.flatMap((parameter, row) => (wanted(parameter) ? [{ parameter, row }] : []));
  const layerAt = (row: number): Selection => {
    const layer = layers[row] as Layer;
    const path = layer.kind === "module" ? bareName(layer.name) : null;
    return { name: layer.name, kind: "layer", layer, rows: [row], parameters: owned((p) => p.layer === path) };
  };
  const row = layers.findIndex((layer) => layer.name === address);
  if (row >= 0) return layerAt(row);
  const own = parameters.find((parameter) => parameter.name === address);
  if (own) {
    const owner = layers.findIndex((layer) => layer.kind === "module" && layer.name === own.layer);
    if (owner >= 0) return layerAt(owner);
    return { name: own.layer, kind: "group", layer: null, rows: [], parameters: owned((p) => p.layer === own.layer) };
  }
  if (address.endsWith(".*")) {
    const path = address.slice(0, -2);
    const rows = layers.flatMap((layer, i) => (within(layer.name, path) ? [i] : []));
    const inside = owned((parameter) => within(parameter.layer, path));
    if (rows.length + inside.length > 0) return { name: path, kind: "group", layer: null, rows, parameters: inside };
  }
  return { name: address, kind: "unknown", layer: null, rows: [], parameters: [] };
}

/** Rows that feed a row, and rows that it feeds. */
export function neighbours({ edges }: Manifest, row: number): { readonly before: number[]; readonly after: number[] } {
  return {
    before: edges.flatMap(([from, to]) => (to === row && from !== row ? [from] : [])),
    after: edges.flatMap(([from, to]) => (from === row && to !== row ? [to] : [])),
  };
}

/** Which call of its module a layer is, and of how many. */
export function callOf({ layers }: Manifest, { name, call }: Layer): readonly [call: number, calls: number] {
  const bare = bareName(name);
  return [call + 1, layers.filter((layer) => bareName(layer.name) === bare).length];
}

export function sizeOf({ shape }: Parameter): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** What kept the selection from being measured, in sentences. */
export function remarksOn({ notObserved, selfCheck }: Manifest, { name, kind, parameters }: Selection): string[] {
  const own = kind === "group" ? (other: string) => within(other, name) : (other: string) => other === name;
  const held = new Set(parameters.map(({ parameter }) => parameter.name));
  const remarks = [...notObserved]
    .filter(([of]) => own(of) || held.has(of))
    .map(([of, why]) => `${of} was not measured: ${why}`);
  const named = (key: string, concerns: (of: string) => boolean, say: (names: string) => string) => {
    const names = (selfCheck.get(key) ?? []).filter(concerns);
    if (names.length > 0) remarks.push(say(listed(names)));
  };
  named("layers_without_gradient", own, (names) => `The output of ${names} needs a gradient and got none`);
  named("modules_never_called", own, (names) => `Never called on the sampled steps: ${names}`);
  named(
    "parameters_without_optimizer",
    (of) => held.has(of),
    (names) => `Trainable, and held by no optimizer: ${names}`,
  );
  return remarks;
}

const LISTED = 3;

function listed(names: readonly string[]): string {
  const more = names.length - LISTED;
  return names.slice(0, LISTED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
