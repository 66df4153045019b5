/** Life lines of one layer's units. */
import { arrayOf, type Container } from "./container";
import { number, numbers } from "./json";

export interface UnitData {
  readonly layer: string;
  readonly window: number;
  readonly steps: Float64Array;
  readonly observations: Float64Array;
  readonly records: number;
  readonly units: number;
  /** Layout [records, units]: index into the levels; 0 is exactly zero. */
  readonly firing: Uint8Array;
  readonly magnitude: Uint8Array;
  readonly firingLevels: readonly number[];
  readonly magnitudeLevels: readonly number[];
  readonly lastFired: Float64Array;
  readonly dead: Uint8Array;
}

export function parseUnits(container: Container): UnitData {
  const firing = arrayOf(container, "firing", Uint8Array);
  const [records = 0, units = 0] = container.arrays.get("firing")?.shape ?? [];
  return {
    layer: String(container.header.layer ?? ""),
    window: number(container.header.window_observations),
    steps: arrayOf(container, "steps", Float64Array),
    observations: arrayOf(container, "observations", Float64Array),
    records,
    units,
    firing,
    magnitude: arrayOf(container, "magnitude", Uint8Array),
    firingLevels: numbers(container.header.firing_levels),
    magnitudeLevels: numbers(container.header.magnitude_levels),
    lastFired: arrayOf(container, "last_fired", Float64Array),
    dead: arrayOf(container, "dead", Uint8Array),
  };
}

/** What a unit did in a record, from harmless to silent; ABSENT: the layer did not run. */
export const ALIVE = 0;
export const RARE = 1;
export const SILENT = 2;
export const ABSENT = 3;

/** A unit that fires on fewer than one observation in a hundred is rare. */
const RARE_SHARE = 0.01;
/** Units whose mean magnitude is at most this share of the layer's are dormant (Sokar et al., ICML 2023). */
export const DORMANT_SHARE = 0.025;

/**
 * [records, units] of the four states. For an activation that is never exactly zero, firing says nothing, so
 * `byMagnitude` judges by size: RARE then means dormant.
 */
export function lifeStates(data: UnitData, byMagnitude: boolean): Uint8Array {
  const [source, levels, most] = byMagnitude
    ? [data.magnitude, data.magnitudeLevels, DORMANT_SHARE]
    : [data.firing, data.firingLevels, RARE_SHARE];
  const byLevel = Uint8Array.from({ length: 256 }, (_, level) =>
    level === 0 ? SILENT : (levels[level] ?? 1) <= most ? RARE : ALIVE,
  );
  const out = new Uint8Array(data.records * data.units);
  for (let r = 0; r < data.records; r++) {
    const ran = (data.observations[r] ?? 0) > 0;
    for (let u = 0, i = r * data.units; u < data.units; u++, i++) {
      out[i] = ran ? (byLevel[source[i] as number] as number) : ABSENT;
    }
  }
  return out;
}
