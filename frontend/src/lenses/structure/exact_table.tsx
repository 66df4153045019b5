/** All that is known of each layer, exact, what feeds it and what it feeds. The graph in words. */
import type { TreeNode } from "../../data/tree";
import { type Cell, DataTable, usePages } from "../../views/data_table";
import { FIELDS, recordsOf } from "./records";
import type { Vitals } from "./vitals";

const TEXTS = ["kind", "type", "output", "dtype", "not_finite_since", "findings", "source", "fed_by", "feeds"];

export function ExactTable({ vitals, leaves }: { vitals: Vitals; leaves: readonly TreeNode[] }) {
  const { from, to, pager } = usePages("Rows", leaves.length, 100);
  return (
    <DataTable
      testid="structure-table"
      label="Layers, what they are, how they do and what feeds them"
      pagers={pager}
      note="All layers in the search, exact, at the cursor step"
      head={FIELDS.map((field) => [
        field.charAt(0).toUpperCase() + field.slice(1).replaceAll("_", " "),
        { class: TEXTS.includes(field) ? "text" : "" },
      ])}
      lines={recordsOf(vitals, leaves.slice(from, to)).map((record) => ({
        attributes: { "data-layer": record.layer },
        cells: FIELDS.map(
          (field): Cell =>
            field === "layer"
              ? [record.layer || "model output", { title: record.layer }]
              : [record[field], { "data-field": field, class: TEXTS.includes(field) ? "text" : "" }],
        ),
      }))}
    />
  );
}
