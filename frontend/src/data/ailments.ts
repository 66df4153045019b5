/** What can be wrong with a layer's units, layer by layer: how many, since when, and why nothing can be said. */
import type { Course } from "../base/sparkline";
import type { DeadData } from "./dead";
import type { Layer, Manifest } from "./manifest";
import { courseOf, type Series } from "./series";

/** Dead: never fires. Dormant: hardly takes part, where nothing is ever exactly zero. Saturated: at its limits. */
export type Ailment = "dead" | "dormant" | "saturated";
export const AILMENTS: readonly Ailment[] = ["dead", "dormant", "saturated"];

/** Measured on every sampled step of its batch alone; who is dead takes longer looking, see the records of the units. */
export const STATISTIC_OF: Readonly<Record<Ailment, string>> = {
  dead: "activation/dead_fraction",
  dormant: "activation/dormant_fraction",
  saturated: "activation/saturated_fraction",
};

/** From this share on a layer is one to look at; the rules ask for more before they call it a finding. */
const SEVERE: Readonly<Record<Ailment, readonly [warning: number, critical: number]>> = {
  // A few dead units are usual after ReLU; a tenth is capacity lost, half is a layer in trouble.
  dead: [0.1, 0.5],
  dormant: [0.4, Number.POSITIVE_INFINITY],
  saturated: [0.6, Number.POSITIVE_INFINITY],
};
/** A share above it counts for `since`: some outputs at the limits are what a bounded activation is for. */
const MARK: Readonly<Record<Ailment, number>> = { dead: 0, dormant: 0, saturated: 0.1 };

/** A share per layer over time, whatever it was read from. */
export interface Shares {
  readonly steps: Float64Array;
  readonly count: number;
  course(row: number): Course;
}

/** `measured`: a verdict stands; `few`: too little was seen for one; `other`: this cannot befall it; `none`: no units. */
export type VerdictKind = "measured" | "few" | "other" | "none";
export type Severity = "ok" | "warning" | "critical";

export interface Verdict {
  readonly kind: VerdictKind;
  readonly units: number;
  /** Units concerned; NaN where only a share is known. */
  readonly count: number;
  readonly share: number;
  readonly since: number;
  readonly severity: Severity;
  /** Whatever the question: dead units, of these those that never fired, and dormant ones. */
  readonly dead: number;
  readonly born: number;
  readonly dormant: number;
  /** Values seen of each unit, and how many a verdict of death takes. */
  readonly observations: number;
  readonly needed: number;
}

/** What this model is most likely to suffer from. */
export function usualAilment({ layers }: Manifest): Ailment {
  if (layers.some((layer) => layer.reachesZero)) return "dead";
  const activations = layers.filter((layer) => layer.function !== null);
  if (activations.length === 0) return "dead";
  return activations.every((layer) => layer.bounded) ? "saturated" : "dormant";
}

export function sharesOfSilence({ steps, rows, silent }: DeadData): Shares {
  const count = steps.length;
  const at = (row: number) => (i: number) => (row < rows ? (silent[i * rows + row] ?? Number.NaN) : Number.NaN);
  return { steps, count, course: (row) => ({ steps, count, at: at(row) }) };
}

export function sharesOfSeries(series: Series): Shares {
  return { steps: series.steps, count: series.count, course: (row) => courseOf(series, row) };
}

export function verdictOf(ailment: Ailment, layer: Layer, row: number, data: DeadData, shares: Shares | null): Verdict {
  const recorded = data.steps.length > 0;
  const units = recorded ? (data.units[row] ?? 0) : (layer.units ?? 0);
  const facts = {
    units,
    dead: data.dead[row] ?? 0,
    born: data.bornDead[row] ?? 0,
    dormant: data.dormant[row] ?? 0,
    observations: data.observations[row] ?? 0,
    needed: data.windows?.[row] ?? data.window,
  };
  const verdict = (
    kind: VerdictKind,
    count = 0,
    share = units > 0 ? count / units : 0,
    since = Number.NaN,
  ): Verdict => ({
    kind,
    count,
    share,
    since,
    severity: kind === "measured" ? severityOf(ailment, share) : "ok",
    ...facts,
  });
  if (ailment === "saturated") {
    if (!layer.bounded) return verdict(units > 0 ? "other" : "none", Number.NaN, 0);
    const share = shares ? lastOf(shares, row) : Number.NaN;
    if (Number.isNaN(share)) return verdict("few", Number.NaN, 0);
    return verdict("measured", Number.NaN, share, shares ? sinceOf(shares, row, MARK.saturated) : Number.NaN);
  }
  if (units === 0) return verdict("none");
  if (ailment === "dormant") {
    if (layer.reachesZero) return verdict("other");
    const share = shares ? lastOf(shares, row) : Number.NaN;
    const since = shares ? sinceOf(shares, row, MARK.dormant) : Number.NaN;
    // A unit that is exactly zero has no magnitude either.
    if (facts.observations > 0) return verdict("measured", facts.dormant + facts.dead, undefined, since);
    return Number.isNaN(share) ? verdict("few") : verdict("measured", Math.round(share * units), share, since);
  }
  if (facts.dead > 0) return verdict("measured", facts.dead, undefined, data.firstDead[row]);
  if (!layer.reachesZero) return verdict("other");
  return verdict(facts.observations >= facts.needed && recorded ? "measured" : "few");
}

function severityOf(ailment: Ailment, share: number): Severity {
  const [warning, critical] = SEVERE[ailment];
  return share >= critical ? "critical" : share >= warning ? "warning" : "ok";
}

/** The last share measured; NaN: none. */
function lastOf(shares: Shares, row: number): number {
  const { count, at } = shares.course(row);
  for (let i = count - 1; i >= 0; i--) {
    const share = at(i);
    if (!Number.isNaN(share)) return share;
  }
  return Number.NaN;
}

/** The step since which the share has been above the mark whenever it was measured; NaN: it is not. */
export function sinceOf(shares: Shares, row: number, mark: number): number {
  const { steps, count, at } = shares.course(row);
  let since = Number.NaN;
  for (let i = count - 1; i >= 0; i--) {
    const share = at(i);
    if (Number.isNaN(share)) continue;
    if (!(share > mark)) break;
    since = steps[i] as number;
  }
  return since;
}

export interface Tally {
  readonly units: number;
  readonly count: number;
  /** Layers that have a verdict, and those of them that are concerned. */
  readonly judged: number;
  readonly hit: number;
  /** Row of the layer with the largest share; -1: none has any. */
  readonly worst: number;
  readonly worstShare: number;
  readonly since: number;
  readonly severity: Severity;
}

/** Several layers as one show the worst, not the mean: one dead layer among forty must not read as 2 %. */
export function tallyOf(ailment: Ailment, verdicts: readonly Verdict[], members: readonly number[]): Tally {
  let [units, count, judged, hit, worst, worstShare] = [0, 0, 0, 0, -1, 0];
  let since = Number.NaN;
  let severity: Severity = "ok";
  for (const member of members) {
    const verdict = verdicts[member];
    if (verdict?.kind !== "measured") continue;
    judged++;
    units += verdict.units;
    count += verdict.count;
    if (!(verdict.share > MARK[ailment])) continue;
    hit++;
    if (verdict.share > worstShare) {
      worst = member;
      worstShare = verdict.share;
      severity = verdict.severity;
    }
    if (verdict.since < since || Number.isNaN(since)) since = verdict.since;
  }
  return { units, count, judged, hit, worst, worstShare, since, severity };
}

/** Layers to list: those it can befall, and others that are concerned all the same. */
export function belongs(ailment: Ailment, layer: Layer, verdict: Verdict | undefined): boolean {
  if (ailment === "saturated") return layer.bounded;
  if (ailment === "dormant") return layer.function !== null && !layer.reachesZero;
  return layer.function !== null || layer.reachesZero || (verdict?.dead ?? 0) > 0;
}
