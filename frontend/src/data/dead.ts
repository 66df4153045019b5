/** What the records of the units say of each layer: how many are dead, since when, and how it went. */
import { arrayOf, type Container } from "./container";
import { number } from "./json";

export interface DeadData {
  /** Values a unit must have been zero for to be called dead, at least; `windows`: for each row. */
  readonly window: number;
  readonly windows: Float64Array | null;
  readonly steps: Float64Array;
  readonly units: Uint32Array;
  readonly dead: Uint32Array;
  readonly firstDead: Float64Array;
  readonly bornDead: Uint32Array;
  readonly dormant: Uint32Array;
  readonly observations: Float64Array;
  /** Layout [records, rows]. */
  readonly silent: Float32Array;
  readonly rows: number;
}

export function parseDead(container: Container): DeadData {
  const units = arrayOf(container, "units", Uint32Array);
  return {
    window: number(container.header.window_observations),
    windows: container.arrays.has("window") ? arrayOf(container, "window", Float64Array) : null,
    steps: arrayOf(container, "steps", Float64Array),
    units,
    dead: arrayOf(container, "dead", Uint32Array),
    firstDead: arrayOf(container, "first_dead", Float64Array),
    bornDead: arrayOf(container, "born_dead", Uint32Array),
    dormant: arrayOf(container, "dormant", Uint32Array),
    observations: arrayOf(container, "observations", Float64Array),
    silent: arrayOf(container, "silent", Float32Array),
    rows: units.length,
  };
}
