/** The counts themselves: a line per bin in use, a column per record or per row. */
import { formatCount, formatExact } from "../../base/format";
import { orderOf } from "../../data/bins";
import { type Format, lossOf } from "../../data/formats";
import { summaryOf } from "../../data/histograms";
import { type Cell, DataTable, type Line, usePages } from "../../views/data_table";
import type { Column } from "./export";
import { binLabel, lossText } from "./words";

export interface HistogramTableProps {
  readonly columns: readonly Column[];
  /** Columns are the rows of the run at one step. */
  readonly byRow: boolean;
  readonly format: Format | null;
  /** Place of the pinned column. */
  readonly pinned: number;
}

export function HistogramTable({ columns, byRow, format, pinned }: HistogramTableProps) {
  const { from, to, pager } = usePages(byRow ? "Rows" : "Records", columns.length, 40, pinned);
  const shown = columns.slice(from, to);
  const counts = shown.map(({ histogram }) => new Map([...histogram.bins].map((bin, i) => [bin, histogram.counts[i]])));
  const bins = [...new Set(shown.flatMap(({ histogram }) => [...histogram.bins]))].sort(
    (a, b) => orderOf(b) - orderOf(a) || a - b,
  );
  const line = (head: Cell, bin: string | number, cell: (column: Column, i: number) => Cell): Line => ({
    cells: [
      head,
      ...shown.map((column, i): Cell => {
        const [text, attributes] = cell(column, i);
        return [text, { "data-bin": bin, "data-step": column.step, "data-row": column.row, ...attributes }];
      }),
    ],
  });
  const lost = ({ histogram }: Column): Cell => {
    const loss = lossOf(histogram, format as Format);
    return [
      summaryOf(histogram).finite > 0 ? lossText(loss) : "–",
      { "data-under": loss.under, "data-over-low": loss.overLow, "data-over-high": loss.overHigh },
    ];
  };
  return (
    <DataTable
      testid="histogram-table"
      label="Counts by bin"
      pagers={pager}
      note="How many of the values counted lie in each bin; bins without any are left out"
      head={[
        ["Values"],
        ...shown.map(
          ({ row, step }, i): Cell => [
            byRow ? row || "model output" : formatCount(step),
            { title: row, "data-step": step, class: from + i === pinned ? "pinned" : "" },
          ],
        ),
      ]}
      lines={[
        line(["All"], "all", ({ histogram }) => [histogram.total]),
        ...(format ? [line([`Lost in ${format.label}`], "lost", lost)] : []),
        ...bins.map((bin) =>
          line([binLabel(bin), { title: binLabel(bin, formatExact) }], bin, (_, i) => {
            const count = counts[i]?.get(bin) ?? 0;
            return [count, { class: count === 0 ? "weak" : "" }];
          }),
        ),
      ]}
    />
  );
}
