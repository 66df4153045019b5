/** The Dead units lens without its per-unit map: per layer, what can be said and what cannot. */
import { arrayOf, type Container, numberOf } from "./container";
import type { Layer } from "./manifest";

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
    window: numberOf(container, "window_observations", 0),
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

/** `measured`: a verdict stands; `few`: too little was seen for one; `smooth`: cannot be exactly zero; `none`: no units. */
export type DeadKind = "measured" | "few" | "smooth" | "none";
export type Severity = "ok" | "warning" | "critical";

export interface DeadRow {
  readonly kind: DeadKind;
  readonly units: number;
  readonly dead: number;
  readonly share: number;
  readonly since: number;
  readonly born: number;
  readonly dormant: number;
  readonly observations: number;
  /** How many of them a verdict takes. */
  readonly needed: number;
  readonly severity: Severity;
}

export function deadRow(data: DeadData, layer: Layer, row: number): DeadRow {
  const units = data.units[row] ?? 0;
  const dead = data.dead[row] ?? 0;
  const observations = data.observations[row] ?? 0;
  const dormant = data.dormant[row] ?? 0;
  const share = units > 0 ? dead / units : 0;
  const needed = data.windows?.[row] ?? data.window;
  const kind: DeadKind =
    units === 0
      ? "none"
      : dead > 0 || (layer.reachesZero && observations >= needed)
        ? "measured"
        : layer.reachesZero
          ? "few"
          : "smooth";
  return {
    kind,
    units,
    dead,
    share,
    since: data.firstDead[row] ?? Number.NaN,
    born: data.bornDead[row] ?? 0,
    dormant,
    observations,
    needed,
    severity: severityOf(kind, share),
  };
}

/** A few dead units are usual after ReLU; a tenth is capacity lost, half is a layer in trouble. */
function severityOf(kind: DeadKind, share: number): Severity {
  if (kind !== "measured") return "ok";
  return share >= 0.5 ? "critical" : share >= 0.1 ? "warning" : "ok";
}

export interface DeadGroup {
  readonly units: number;
  readonly dead: number;
  /** Layers below that have a verdict, and those of them with dead units. */
  readonly judged: number;
  readonly hit: number;
  /** Row of the child with the largest share of dead units; -1: none has any. */
  readonly worst: number;
  readonly worstShare: number;
  readonly since: number;
  readonly severity: Severity;
}

/** A group shows its worst child, not its mean: one dead layer among forty must not read as 2 %. */
export function deadGroup(rows: readonly DeadRow[], members: readonly number[]): DeadGroup {
  let [units, dead, judged, hit, worst, worstShare] = [0, 0, 0, 0, -1, 0];
  let since = Number.NaN;
  let severity: Severity = "ok";
  for (const member of members) {
    const row = rows[member];
    if (row?.kind !== "measured") continue;
    judged++;
    units += row.units;
    dead += row.dead;
    if (row.dead === 0) continue;
    hit++;
    if (row.share > worstShare) {
      worst = member;
      worstShare = row.share;
      severity = row.severity;
    }
    if (!(row.since >= since)) since = row.since;
  }
  return { units, dead, judged, hit, worst, worstShare, since, severity };
}

/** Layers this lens lists by default: activations, and whatever else has dead units. */
export function belongs(layer: Layer, row: DeadRow | undefined): boolean {
  return layer.function !== null || layer.reachesZero || (row?.dead ?? 0) > 0;
}
