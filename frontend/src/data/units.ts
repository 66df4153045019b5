/** Life lines of one layer's units. */
import { arrayOf, type Container, numberOf } from "./container";

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
    window: numberOf(container, "window_observations", 0),
    steps: arrayOf(container, "steps", Float64Array),
    observations: arrayOf(container, "observations", Float64Array),
    records,
    units,
    firing,
    magnitude: arrayOf(container, "magnitude", Uint8Array),
    firingLevels: levels(container.header.firing_levels),
    magnitudeLevels: levels(container.header.magnitude_levels),
    lastFired: arrayOf(container, "last_fired", Float64Array),
    dead: arrayOf(container, "dead", Uint8Array),
  };
}

function levels(value: unknown): number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

/** What a unit did in a record, from harmless to silent; ABSENT: the layer did not run. */
export const ALIVE = 0;
export const RARE = 1;
export const SILENT = 2;
export const ABSENT = 3;

/** A unit that fires on fewer than one observation in a hundred is rare. */
export const RARE_SHARE = 0.01;
/** Units whose mean magnitude is at most this share of the layer's are dormant (Sokar et al., ICML 2023). */
export const DORMANT_SHARE = 0.025;

/**
 * [records, units] of the four states. For an activation that is never exactly zero, firing says nothing, so
 * `byMagnitude` judges by size: RARE then means dormant.
 */
export function lifeStates(data: UnitData, byMagnitude: boolean): Uint8Array {
  const rare = new Set<number>();
  const table = byMagnitude ? data.magnitudeLevels : data.firingLevels;
  table.forEach((share, level) => {
    if (level > 0 && share <= (byMagnitude ? DORMANT_SHARE : RARE_SHARE)) rare.add(level);
  });
  const byLevel = Uint8Array.from({ length: 256 }, (_, level) =>
    level === 0 ? SILENT : rare.has(level) ? RARE : ALIVE,
  );
  const source = byMagnitude ? data.magnitude : data.firing;
  const out = new Uint8Array(data.records * data.units);
  for (let r = 0; r < data.records; r++) {
    const ran = (data.observations[r] ?? 0) > 0;
    for (let u = 0, i = r * data.units; u < data.units; u++, i++) {
      out[i] = ran ? (byLevel[source[i] as number] as number) : ABSENT;
    }
  }
  return out;
}

export type UnitOrder = "died" | "index";

/** Unit ids in drawing order. Died first: dead ones by when they fell silent, then the living by how little they fire. */
export function unitOrder(data: UnitData, order: UnitOrder, byMagnitude = false): Uint32Array {
  const ids = Uint32Array.from({ length: data.units }, (_, i) => i);
  if (order === "index") return ids;
  const source = byMagnitude ? data.magnitude : data.firing;
  const activity = new Float64Array(data.units);
  for (let r = 0; r < data.records; r++) {
    for (let u = 0; u < data.units; u++) activity[u] = (activity[u] ?? 0) + (source[r * data.units + u] ?? 0);
  }
  const rank = (u: number): number => {
    if (data.dead[u] !== 1) return Number.POSITIVE_INFINITY;
    const last = data.lastFired[u] ?? Number.NaN;
    return Number.isNaN(last) ? Number.NEGATIVE_INFINITY : last;
  };
  return ids.sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    if (x !== y) return x < y ? -1 : 1;
    return (activity[a] ?? 0) - (activity[b] ?? 0) || a - b;
  });
}

export function deadIds(data: UnitData): number[] {
  const ids: number[] = [];
  for (let u = 0; u < data.units; u++) if (data.dead[u] === 1) ids.push(u);
  return ids;
}

/** "37–41, 90": neighbouring ids as ranges, for a summary; the full list stays available. */
export function idRanges(ids: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < ids.length; ) {
    let j = i;
    while (j + 1 < ids.length && ids[j + 1] === (ids[j] as number) + 1) j++;
    parts.push(j > i ? `${ids[i]}–${ids[j]}` : String(ids[i]));
    i = j + 1;
  }
  return parts.join(", ");
}
