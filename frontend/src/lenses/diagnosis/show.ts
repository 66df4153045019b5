/** From a finding to the picture that shows it: which lens, statistic, row, step and range. */
import { batch } from "@preact/signals";
import { formatCount } from "../../base/format";
import { AILMENTS, type Ailment, STATISTIC_OF } from "../../data/ailments";
import type { Diagnosis, Evidence, Finding } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import { statisticOf } from "../../data/statistics";
import * as view from "../../data/view";
import { chosenAilment } from "../dead/mode";

export interface Target {
  readonly lens: "gradient" | "dead";
  readonly stat: string | null;
  /** What to look for in the Dead units lens. */
  readonly units: Ailment | null;
  readonly layer: string | null;
  /** Where it began. */
  readonly step: number;
  /** With some of what was before and after; null: all steps. */
  readonly range: readonly [number, number] | null;
}

/** For findings that bring no evidence. */
const STATISTICS: Readonly<Record<string, string>> = {
  "non-finite": "gradient/nonfinite_fraction",
  "poor-initialization": "activation/rms",
  "update-too-large": "parameter/update_ratio",
  "update-too-small": "parameter/update_ratio",
  "no-gradient": "parameter/grad_rms",
  "gradient-underflow": "gradient/underflow_fraction",
  "gradient-clipping": "parameter/grad_rms_before_clip",
  "collapsed-output": "activation/std",
};

export function targetOf(
  finding: Finding,
  evidence: Evidence | undefined,
  steps: Diagnosis["steps"],
  manifest: Manifest,
): Target {
  const stat = evidence?.statistic || STATISTICS[finding.code] || "gradient/rms";
  const first = evidence === undefined || evidence === finding.evidence[0];
  const units = AILMENTS.find((a) => STATISTIC_OF[a] === stat || (first && finding.code === `${a}-units`)) ?? null;
  const lens = units ? "dead" : "gradient";
  return {
    lens,
    // The other lens keeps its statistic: this one has none.
    stat: lens === "gradient" ? stat : null,
    units,
    layer: rowOf(finding, evidence, lens === "dead" ? "layers" : statisticOf(stat).rows, manifest),
    step: finding.firstStep,
    range: rangeOf(finding, steps),
  };
}

/** A row that the picture has: of the layers concerned the root cause, else what decides the evidence. */
function rowOf(
  finding: Finding,
  evidence: Evidence | undefined,
  kind: "layers" | "parameters",
  manifest: Manifest,
): string | null {
  const known = (name: string) => manifest[kind].some((row) => row.name === name);
  const shown = evidence?.rows ?? [];
  const { layers } = finding;
  const found = layers.find((name) => shown.includes(name) && known(name)) ?? layers.find(known) ?? shown.find(known);
  if (found !== undefined || kind === "layers") return found ?? null;
  // A finding about layers in a picture of parameters: the first parameter of the first layer that has one.
  const own = finding.layers.map((layer) => manifest.parameters.find((p) => p.layer === layer)?.name);
  return own.find((name) => name !== undefined) ?? null;
}

/** A quarter of its length before and after, so that its beginning and its end are in the picture. */
export function rangeOf(finding: Finding, steps: Diagnosis["steps"]): readonly [number, number] | null {
  if (!steps) return null;
  const margin = Math.max(2, Math.ceil((finding.lastStep - finding.firstStep) / 4));
  const from = Math.max(steps[0], finding.firstStep - margin);
  const to = Math.min(steps[1], finding.lastStep + margin);
  return to <= from || (from === steps[0] && to === steps[1]) ? null : [from, to];
}

export function show(target: Target): void {
  batch(() => {
    view.lens.value = target.lens;
    if (target.stat !== null) view.stat.value = target.stat;
    if (target.units !== null) chosenAilment.value = target.units;
    view.layer.value = target.layer;
    view.step.value = target.step;
    view.range.value = target.range;
    view.table.value = false;
    view.search.value = "";
  });
}

/** "Gradient flow: Gradient rms of layer 0 from step 900". */
export function describe(target: Target): string {
  const { units, stat } = target;
  const what = units
    ? `Dead units${units === "dead" ? "" : `: ${units}`}`
    : `Gradient flow: ${statisticOf(stat ?? "").label}`;
  const where = target.layer === null ? "" : ` of ${target.layer || "the model"}`;
  return `${what}${where} from step ${formatCount(target.step)}`;
}
