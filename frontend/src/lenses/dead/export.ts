import { csvLine, download, fileName } from "../../base/csv";
import type { DeadRow } from "../../data/dead";
import type { Manifest } from "../../data/manifest";
import type { VisibleRow } from "../../data/tree";
import { reason } from "./dead_cells";

/** The layers in the table as a file. */
export function exportDead(
  run: string,
  manifest: Manifest,
  verdicts: readonly DeadRow[],
  rows: readonly VisibleRow[],
): void {
  const lines = [
    csvLine(["layer", "type", "units", "dead", "since_step", "born_dead", "dormant", "observations", "note"]),
  ];
  for (const { node } of rows) {
    const layer = manifest.layers[node.row];
    const row = verdicts[node.row];
    if (!layer || !row) continue;
    const known = row.kind === "measured";
    lines.push(
      csvLine([
        layer.name,
        layer.type,
        row.units,
        known ? row.dead : "",
        known && row.dead > 0 ? row.since : "",
        known ? row.born : "",
        row.dormant,
        row.observations,
        known ? "" : reason(row),
      ]),
    );
  }
  download(fileName("torchvitals", run, "dead-units"), `${lines.join("\n")}\n`);
}
