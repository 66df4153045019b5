/** What the table and the line above it say, for each of the three questions. */
import { formatCount, formatShare, plural } from "../../base/format";
import type { Course } from "../../base/sparkline";
import type { Ailment, Tally, Verdict } from "../../data/ailments";
import { shortName } from "../diagnosis/words";
import { counterpart, type Setting } from "./setting";

export const TITLES: Readonly<Record<Ailment, string>> = { dead: "Dead", dormant: "Dormant", saturated: "Saturated" };

export const SINCE: Readonly<Record<Ailment, string>> = {
  dead: "Step after which the first of the dead never fired again",
  dormant: "Since this step some unit was dormant on every sampled step",
  saturated: "Since this step more than 10 % were saturated on every sampled step",
};

/** Why a layer has no verdict. */
export function reasonOf(ailment: Ailment, verdict: Verdict, recorded: boolean): string {
  const { kind, dormant, dead, observations, needed } = verdict;
  if (kind === "none") return "no units";
  if (ailment === "saturated") return kind === "other" ? "n/a · not bounded" : "not measured";
  if (kind === "few") {
    if (!recorded) return "units were not recorded";
    if (observations === 0) return "did not run";
    return `too few values seen (${formatCount(observations)} of ${formatCount(needed)})`;
  }
  return ailment === "dormant" ? `n/a · ${dead || "none"} dead` : `n/a · ${dormant || "none"} dormant`;
}

/** The last column: how the dead died, else the worst that was measured. */
export function howOf(ailment: Ailment, verdict: Verdict, course: Course | undefined): string {
  if (ailment !== "dead") return course ? formatShare(peakOf(course)) : "";
  if (verdict.count === 0) return "none";
  const died = verdict.count - verdict.born;
  if (died === 0) return "born dead";
  if (verdict.born === 0) return "died";
  return `${formatCount(verdict.born)} born, ${formatCount(died)} died`;
}

export function peakOf({ count, at }: Course): number {
  let peak = Number.NaN;
  for (let i = 0; i < count; i++) {
    const share = at(i);
    if (!(share <= peak) && !Number.isNaN(share)) peak = share;
  }
  return peak;
}

export interface Headline {
  readonly severity: "critical" | "warning" | "ok" | "info";
  readonly text: string;
}

/** The whole lens in one sentence. */
export function headline({ ailment, data, manifest, verdicts }: Setting, tally: Tally): Headline {
  const info = (text: string): Headline => ({ severity: "info", text });
  if (ailment === "dead") {
    if (!manifest.units) return info("This run was recorded without units: who is dead cannot be said");
    if (data.steps.length === 0) return info("No record of the units yet");
  }
  if (tally.judged === 0) {
    const few = verdicts.filter((verdict) => verdict.kind === "few").length;
    const [unseen, impossible] = NOBODY[ailment];
    return info(few > 0 ? `${unseen} (${plural(few, "layer")})` : impossible);
  }
  const saturated = ailment === "saturated";
  const all = plural(tally.judged, saturated ? "bounded layer" : "layer");
  if (tally.hit === 0) {
    const text = saturated ? `At most 10 % of outputs are saturated in ${all}` : `No ${ailment} units in ${all}`;
    return { severity: "ok", text };
  }
  const what = saturated ? "More than 10 % of outputs are saturated" : plural(tally.count, `${ailment} unit`);
  const since = Number.isNaN(tally.since) ? "" : `, the first since step ${formatCount(tally.since)}`;
  const worst = shortName(manifest.layers[tally.worst]?.name ?? "");
  return {
    severity: tally.severity === "ok" ? "info" : tally.severity,
    text: `${what} in ${formatCount(tally.hit)} of ${all}${since}; worst is ${worst} with ${formatShare(tally.worstShare)}`,
  };
}

const NOBODY: Readonly<Record<Ailment, readonly [unseen: string, impossible: string]>> = {
  dead: [
    "Too few values seen so far to call a unit dead",
    "No layer here can have dead units: no activation is exactly zero over a range of inputs",
  ],
  dormant: ["Nothing seen yet", "Every activation here can be exactly zero: look for dead units"],
  saturated: ["Saturation was not measured in this run", "No activation here has limits to saturate at"],
};

/** In how many layers this run is worse or better than the other, and what cannot be compared. */
export function comparison(setting: Setting): string {
  const { manifest, verdicts, other } = setting;
  if (!other) return "";
  let [more, less, same] = [0, 0, 0];
  manifest.layers.forEach((layer, i) => {
    const [mine, theirs] = [verdicts[i], counterpart(setting, layer.name)];
    if (mine?.kind !== "measured" || theirs?.kind !== "measured") return;
    if (mine.share > theirs.share) more++;
    else if (mine.share < theirs.share) less++;
    else same++;
  });
  const only = other.manifest.layers.filter((layer) => !setting.rowOf.has(layer.name)).length;
  const judged = `Against ${other.run.name}: worse in ${plural(more, "layer")}, better in ${less}, the same in ${same}`;
  return only > 0 ? `${judged}; ${plural(only, "layer")} only in ${other.run.name}` : judged;
}
