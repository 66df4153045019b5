/** Two runs as one list of rows, matched by name: those of the first as they are, then what only the second has. */
import type { Layer, Manifest, Parameter } from "./manifest";

export interface JointRows {
  readonly layers: readonly Layer[];
  readonly parameters: readonly Parameter[];
  /** Row in the second run of each row here, -1 for none. */
  readonly second: { readonly layers: Int32Array; readonly parameters: Int32Array };
  /** Rows of the first run come before; those from here on are only in the second. */
  readonly own: { readonly layers: number; readonly parameters: number };
}

export function jointRows(a: Manifest, b: Manifest): JointRows {
  const layers = join(a.layers, b.layers);
  const parameters = join(a.parameters, b.parameters);
  return {
    layers: layers.rows,
    parameters: parameters.rows,
    second: { layers: layers.second, parameters: parameters.second },
    own: { layers: a.layers.length, parameters: a.parameters.length },
  };
}

function join<T extends { readonly name: string }>(
  a: readonly T[],
  b: readonly T[],
): { rows: T[]; second: Int32Array } {
  const known = new Set(a.map((row) => row.name));
  const rows = [...a, ...b.filter((row) => !known.has(row.name))];
  const place = new Map(b.map((row, i) => [row.name, i]));
  return { rows, second: Int32Array.from(rows, (row) => place.get(row.name) ?? -1) };
}

/** Which run a row is in alone: "a", "b", or null when it is in both. */
export function onlyIn(joint: JointRows, kind: "layers" | "parameters", row: number): "a" | "b" | null {
  if (row >= joint.own[kind]) return "b";
  return (joint.second[kind][row] ?? -1) < 0 ? "a" : null;
}
