/** All that is known of each layer at the cursor step, exact: one record a layer, for the table view and the file. */
import { csvLine } from "../../base/csv";
import { formatExact } from "../../base/format";
import type { TreeNode } from "../../data/tree";
import { field } from "../gradient/cells_as_text";
import type { Vitals } from "./vitals";

export const FIELDS = [
  "layer",
  "kind",
  "type",
  "output",
  "dtype",
  "parameters",
  "trainable",
  "calls",
  "gradient_rms",
  "activation_rms",
  "update_ratio",
  "dead_share",
  "not_finite_since",
  "findings",
  "source",
  "fed_by",
  "feeds",
] as const;

export type Field = (typeof FIELDS)[number];
export type LayerRecord = Readonly<{ [field in Field]: string | number }>;

/** Of these leaves, in their order. */
export function recordsOf(vitals: Vitals, leaves: readonly TreeNode[]): LayerRecord[] {
  const { facts, manifest } = vitals;
  const feeders = neighbours(vitals, 1);
  const fed = neighbours(vitals, 0);
  const names = (rows: readonly number[] | undefined) =>
    (rows ?? []).map((row) => manifest.layers[row]?.name ?? "").join("; ");
  return leaves.flatMap((node) => {
    const row = facts[node.row];
    if (!row) return [];
    const { layer } = row;
    const dead = vitals.deadShare(node);
    const broken = vitals.brokenSince(node);
    return [
      {
        layer: layer.name,
        kind: row.where === "there" ? "only in the other run" : layer.kind,
        type: layer.type,
        output: layer.shape.join("x"),
        dtype: layer.dtype ?? "",
        parameters: row.where === "there" ? row.otherParameters : row.parameters,
        trainable: row.trainable,
        calls: row.calls,
        gradient_rms: field(vitals.cell(node, "gradient")),
        activation_rms: field(vitals.cell(node, "activation")),
        update_ratio: field(vitals.cell(node, "update")),
        dead_share: Number.isNaN(dead) ? "" : formatExact(dead),
        not_finite_since: Number.isNaN(broken) ? "" : broken,
        findings: vitals.found(node)?.codes.join("; ") ?? "",
        source: layer.source ?? "",
        fed_by: names(feeders.get(row.row)),
        feeds: names(fed.get(row.row)),
      },
    ];
  });
}

export function csvOf(vitals: Vitals, leaves: readonly TreeNode[]): string {
  const lines = recordsOf(vitals, leaves).map((record) => csvLine(FIELDS.map((name) => record[name])));
  return `${[csvLine([...FIELDS]), ...lines].join("\n")}\n`;
}

/** By row, the rows on the other side of its edges; `end`: on which side of the edge it is, 1 as the consumer. */
function neighbours({ manifest }: Vitals, end: 0 | 1): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const edge of manifest.edges) {
    const rows = found.get(edge[end]);
    if (rows) rows.push(edge[1 - end] as number);
    else found.set(edge[end], [edge[1 - end] as number]);
  }
  return found;
}
