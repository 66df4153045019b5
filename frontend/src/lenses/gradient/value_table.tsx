/** The picture as numbers, sample by sample. */
import { formatCount } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import { addressOf, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { DataTable, type Line, usePages } from "../../views/data_table";
import { cellText, headOf } from "./cells_as_text";
import { partsOf, readingOf, type Shown } from "./shown";

const MOST_CELLS = 8000;
const MOST_ROWS = 200;

export interface ValueTableProps {
  readonly shown: Shown;
  readonly rows: readonly VisibleRow[];
  readonly pinned: number;
}

export function ValueTable({ shown, rows, pinned }: ValueTableProps) {
  const { statistic, loaded } = shown.main;
  const parts = partsOf(shown);
  const drawn = rows.filter((r) => !r.expanded);
  const [first, last] = shown.main.window();
  const perPage = Math.min(Math.floor(MOST_ROWS / parts.length), Math.max(1, drawn.length));
  const down = usePages("Rows", drawn.length, perPage);
  const across = usePages("Samples", last - first, Math.max(10, Math.floor(MOST_CELLS / perPage / parts.length)));
  const samples = Array.from({ length: across.to - across.from }, (_, i) => first + across.from + i);
  const { steps } = loaded.series;
  const lines = drawn.slice(down.from, down.to).flatMap(({ node }): Line[] => {
    const readings = samples.map((i) => readingOf(shown, node, i));
    return parts.map(({ label, of }) => ({
      attributes: { class: addressOf(node) === view.layer.value ? "selected" : "" },
      cells: [
        [headOf(node, label) || "model output", { title: node.name }],
        ...readings.map((reading, k) => {
          const cell = of(reading);
          return [
            cellText(cell),
            {
              "data-layer": node.name,
              "data-step": steps[samples[k] as number],
              "data-part": label,
              class: cell.state === MISSING ? "weak" : cell.state === NONFINITE ? "broken" : "",
            },
          ] as const;
        }),
      ],
    }));
  });
  return (
    <DataTable
      testid="heatmap-table"
      label={`${statistic.label}, rows by steps`}
      attributes={{ "data-statistic": statistic.name, "data-scale": statistic.scale }}
      pagers={
        <>
          {down.pager}
          {across.pager}
        </>
      }
      note="Every sample in the range of steps; a closed group shows its worst member"
      head={[
        [statistic.rows === "layers" ? "Layer" : "Parameter"],
        ...samples.map(
          (i) =>
            [formatCount(steps[i] as number), { "data-step": steps[i], class: i === pinned ? "pinned" : "" }] as const,
        ),
      ]}
      lines={lines}
    />
  );
}
