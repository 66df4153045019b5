/** The numbers of a piece of evidence. */
import { formatCount, formatExact } from "../../base/format";
import type { Evidence } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import { type Cell, DataTable } from "../../views/data_table";
import { sayerOf } from "./evidence_words";

export function EvidenceTable({ evidence }: { evidence: Evidence }) {
  const { rows, steps, values, expected } = evidence;
  const statistic = statisticOf(evidence.statistic);
  const say = sayerOf(evidence.statistic);
  const cell = (value = Number.NaN): Cell =>
    Number.isNaN(value)
      ? ["–", { class: "weak" }]
      : [say(value), { title: formatExact(value), class: Number.isFinite(value) ? "" : "broken" }];
  return (
    <DataTable
      testid="evidence-table"
      label={`${statistic.label}, rows by steps`}
      head={[
        [statistic.rows === "layers" ? "Layer" : "Parameter"],
        ...(expected ? [["Expected"] as const] : []),
        ...steps.map((step): Cell => [formatCount(step), { "data-step": step }]),
      ]}
      lines={rows.map((name, r) => ({
        cells: [
          [name || "the model", { title: name }],
          ...(expected ? [cell(expected[r])] : []),
          ...values.map((row) => cell(row[r])),
        ],
      }))}
    />
  );
}
