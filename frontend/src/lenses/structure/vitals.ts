/** The vital signs of rows at the cursor step, and what the diagnosis says of them. */

import { tallyOf, type Verdict, verdictOf } from "../../data/ailments";
import type { DeadData } from "../../data/dead";
import { type Diagnosis, type Finding, SEVERITIES, type Severity } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import type { LoadedSeries, RunStore } from "../../data/run_store";
import { MISSING, NONFINITE, type Series, sampleAt } from "../../data/series";
import { type Statistic, statisticOf } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";
import { type Cell, cellOf } from "../gradient/model";
import type { RowFacts } from "./facts";

const VITALS = ["gradient", "activation", "update"] as const;
export type Vital = (typeof VITALS)[number];

export const STATISTICS: Readonly<Record<Vital, Statistic>> = {
  gradient: statisticOf("gradient/rms"),
  activation: statisticOf("activation/rms"),
  update: statisticOf("parameter/update_ratio"),
};

export interface Found {
  readonly severity: Severity;
  /** Worst first. */
  readonly codes: readonly string[];
  readonly layers: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const NOT_MEASURED: Cell = { value: Number.NaN, state: MISSING, row: -1 };

/** What a run has of its rows. Parts that are not here yet read as not measured. */
export class Vitals {
  private readonly broken: Float64Array;
  private readonly findings: ReadonlyMap<string, Finding[]>;
  private readonly deads: readonly Verdict[];

  constructor(
    readonly facts: readonly RowFacts[],
    readonly manifest: Manifest,
    readonly loaded: Readonly<Record<Vital, LoadedSeries | null>>,
    readonly dead: DeadData | null,
    readonly diagnosis: Diagnosis | null,
    /** The cursor's; null: the newest. */
    readonly step: number | null,
  ) {
    this.broken = brokenSince(manifest.layers.length, [loaded.gradient?.series, loaded.activation?.series]);
    this.findings = foundIn(diagnosis, manifest);
    this.deads = dead ? manifest.layers.map((layer, row) => verdictOf("dead", layer, row, dead, null)) : [];
  }

  cell(node: TreeNode, vital: Vital): Cell {
    return cellAt(this.facts, this.loaded[vital], STATISTICS[vital], node, this.step);
  }

  /** Of units that can be dead the share that is, of a group its worst layer's; NaN: cannot be said. */
  deadShare(node: TreeNode): number {
    const group = tallyOf("dead", this.deads, dataRows(this.facts, node, "layers"));
    return group.judged > 0 ? group.worstShare : Number.NaN;
  }

  /** First step at which a gradient or an activation of the row was not finite; NaN: never. */
  brokenSince(node: TreeNode): number {
    const first = dataRows(this.facts, node, "layers").reduce((a, r) => Math.min(a, this.broken[r] as number), NEVER);
    return first < NEVER ? first : Number.NaN;
  }

  /** What names a layer below, worst first, and how many layers it names. */
  found(node: TreeNode): Found | null {
    const rows = node.rows.flatMap((i) => {
      const row = this.facts[i];
      const found = row?.where !== "there" && this.findings.get(row?.layer.name ?? "");
      return found ? [found] : [];
    });
    const all = rows.flat().sort((a, b) => weight(b.severity) - weight(a.severity));
    return all[0]
      ? { severity: all[0].severity, codes: [...new Set(all.map((f) => f.code))], layers: rows.length }
      : null;
  }
}

/** The series of a run's vital signs; those it did not record are not asked for. */
export function loadVitals(run: RunStore, { statistics }: Manifest): Record<Vital, LoadedSeries | null> {
  const load = ({ name }: Statistic) => (statistics.includes(name) ? run.seriesOf(name).value : null);
  const { gradient, activation, update } = STATISTICS;
  return { gradient: load(gradient), activation: load(activation), update: load(update) };
}

/** Rows in the data below a node. */
function dataRows(facts: readonly RowFacts[], node: TreeNode, kind: Statistic["rows"]): readonly number[] {
  if (kind === "parameters") return node.rows.flatMap((i) => facts[i]?.parameterRows ?? []);
  return node.rows.map((i) => facts[i]?.row ?? -1).filter((row) => row >= 0);
}

/** The worst below a node at a step. */
export function cellAt(
  facts: readonly RowFacts[],
  loaded: LoadedSeries | null,
  statistic: Statistic,
  node: TreeNode,
  step: number | null,
): Cell {
  if (!loaded) return NOT_MEASURED;
  const { steps, count } = loaded.series;
  return cellOf(loaded, statistic, dataRows(facts, node, statistic.rows), sampleAt(steps, count, step));
}

function brokenSince(rows: number, all: readonly (Series | undefined)[]): Float64Array {
  const first = new Float64Array(rows).fill(NEVER);
  for (const series of all) {
    if (!series || series.extent.nonFinite === 0) continue;
    const { state, steps, capacity, count } = series;
    for (let r = 0; r < Math.min(rows, series.rows); r++) {
      const at = state.subarray(r * capacity, r * capacity + count).indexOf(NONFINITE);
      if (at >= 0) first[r] = Math.min(first[r] as number, steps[at] as number);
    }
  }
  return first;
}

export const weight = (severity: Severity): number => -SEVERITIES.indexOf(severity);

/** By the layer's name; a finding may name a parameter. */
function foundIn(diagnosis: Diagnosis | null, manifest: Manifest): Map<string, Finding[]> {
  const layerOf = new Map(manifest.parameters.map((p) => [p.name, p.layer]));
  for (const { name } of manifest.layers) layerOf.set(name, name);
  const found = new Map<string, Finding[]>();
  const add = (finding: Finding) => {
    for (const name of new Set(finding.layers.map((n) => layerOf.get(n) ?? n))) {
      found.set(name, [...(found.get(name) ?? []), finding]);
    }
    finding.effects.forEach(add);
  };
  diagnosis?.findings.forEach(add);
  return found;
}
