import { csvLine } from "../../base/csv";
import { formatExact } from "../../base/format";
import type { Verdict } from "../../data/ailments";
import type { VisibleRow } from "../../data/tree";
import { counterpart, type Setting } from "./setting";
import { reasonOf } from "./words";

const number = (value: number): number | string => (Number.isNaN(value) ? "" : value);
export const shareText = (verdict: Verdict | null): string =>
  verdict?.kind === "measured" ? formatExact(verdict.share) : "";

/** The layers in the table as a file; with a second run what that has of the same name. */
export function csvOf(setting: Setting, rows: readonly VisibleRow[]): string {
  const { ailment, manifest, verdicts, other } = setting;
  const heads = ["layer", "type", "units", ailment, "share", "since_step", "born_dead", "observations", "note"];
  const lines = [csvLine(other ? [...heads, "other_units", "other_share"] : heads)];
  // Those in a closed group too.
  for (const row of rows.flatMap(({ node, expanded }) => (expanded ? [] : node.rows))) {
    const layer = manifest.layers[row];
    const verdict = verdicts[row];
    if (!layer || !verdict) continue;
    const { kind, units, count, since, born, observations } = verdict;
    const known = kind === "measured";
    const theirs = counterpart(setting, layer.name);
    lines.push(
      csvLine([
        layer.name,
        layer.type,
        units,
        known ? number(count) : "",
        shareText(verdict),
        number(since),
        known ? born : "",
        observations,
        known ? "" : reasonOf(ailment, verdict, manifest.units),
        ...(other ? [theirs?.units ?? "", shareText(theirs)] : []),
      ]),
    );
  }
  return `${lines.join("\n")}\n`;
}
