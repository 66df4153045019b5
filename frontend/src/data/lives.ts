/** The life of each unit, from its states record by record: when it fell silent, whether it came back, who is dead. */
import { ABSENT, RARE, SILENT, type UnitData } from "./units";

export interface Lives {
  /** Records in which the unit was quiet. */
  readonly quiet: Uint32Array;
  /** How often it was active again after that. */
  readonly revivals: Uint32Array;
  /** First record of the silence it is in; -1: it is active. */
  readonly fell: Int32Array;
}

/** For what is never exactly zero, a unit that is dormant counts as quiet. */
const isQuiet = (state: number, byMagnitude: boolean): boolean => state === SILENT || (byMagnitude && state === RARE);

/** `states`: as `lifeStates` gives them. Records in which the layer did not run say nothing. */
export function livesOf({ records, units }: UnitData, states: Uint8Array, byMagnitude: boolean): Lives {
  const quiet = new Uint32Array(units);
  const revivals = new Uint32Array(units);
  const fell = new Int32Array(units).fill(-1);
  for (let r = 0, i = 0; r < records; r++) {
    for (let u = 0; u < units; u++, i++) {
      const state = states[i] as number;
      if (state === ABSENT) continue;
      if (isQuiet(state, byMagnitude)) {
        quiet[u] = (quiet[u] as number) + 1;
        if ((fell[u] as number) < 0) fell[u] = r;
      } else if ((fell[u] as number) >= 0) {
        revivals[u] = (revivals[u] as number) + 1;
        fell[u] = -1;
      }
    }
  }
  return { quiet, revivals, fell };
}

export const UNIT_ORDERS = ["died", "index", "silent", "revivals"] as const;
export type UnitOrder = (typeof UNIT_ORDERS)[number];

/**
 * Unit ids in drawing order. Died first: the dead by when they fell silent, then who is silent for too short a time to
 * say so, then the living, those that do least first.
 */
export function unitOrder(data: UnitData, lives: Lives, order: UnitOrder, byMagnitude: boolean): Uint32Array {
  const ids = Uint32Array.from({ length: data.units }, (_, i) => i);
  if (order === "index") return ids;
  const source = byMagnitude ? data.magnitude : data.firing;
  const activity = new Float64Array(data.units);
  for (let i = 0, r = 0; r < data.records; r++) {
    for (let u = 0; u < data.units; u++, i++) activity[u] = (activity[u] as number) + (source[i] as number);
  }
  const { quiet, revivals, fell } = lives;
  const rank = Float64Array.from(ids, (u) => {
    if (order === "silent") return -(quiet[u] as number);
    if (order === "revivals") return -(revivals[u] as number);
    const since = fell[u] as number;
    if (since < 0) return Number.POSITIVE_INFINITY;
    return byMagnitude || data.dead[u] === 1 ? since : data.records + since;
  });
  return ids.sort((a, b) => {
    const [x, y] = [rank[a] as number, rank[b] as number];
    if (x !== y) return x - y;
    return (activity[a] as number) - (activity[b] as number) || a - b;
  });
}

/** The dead, or by magnitude those that were dormant in the last record in which the layer ran. */
export function lostIds(data: UnitData, lives: Lives, byMagnitude: boolean): number[] {
  const ids: number[] = [];
  for (let u = 0; u < data.units; u++) {
    if (byMagnitude ? (lives.fell[u] as number) >= 0 : data.dead[u] === 1) ids.push(u);
  }
  return ids;
}

/** Steps `from … to` in which a unit was quiet; `from` null: from the start; open: it still is. */
export interface Silence {
  readonly from: number | null;
  readonly to: number;
  readonly open: boolean;
}

export interface Life {
  readonly silences: readonly Silence[];
  /** Records in which the layer ran. */
  readonly records: number;
  /** Last step of the last record in which it was active; NaN: none. */
  readonly lastActive: number;
}

export function lifeOf(data: UnitData, states: Uint8Array, unit: number, byMagnitude: boolean): Life {
  const silences: Silence[] = [];
  let [records, lastActive] = [0, Number.NaN];
  let since: number | null | undefined;
  let until = 0;
  for (let r = 0; r < data.records; r++) {
    const state = states[r * data.units + unit] as number;
    if (state === ABSENT) continue;
    const step = data.steps[r] as number;
    if (isQuiet(state, byMagnitude)) {
      // A record tells of the steps after the one before.
      if (since === undefined) since = records === 0 ? null : (data.steps[r - 1] as number) + 1;
      until = step;
    } else {
      if (since !== undefined) silences.push({ from: since, to: until, open: false });
      since = undefined;
      lastActive = step;
    }
    records++;
  }
  if (since !== undefined) silences.push({ from: since, to: until, open: true });
  return { silences, records, lastActive };
}
