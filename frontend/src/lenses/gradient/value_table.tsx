/**
 * "View as table": the numbers themselves, sample by sample, as a real table. Pages keep it small: what is on one page
 * is in the document, and nothing else.
 */
import { useState } from "preact/hooks";
import { formatCount } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import { addressOf, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { cellText } from "./cells_as_text";
import type { HeatModel } from "./model";

const MOST_CELLS = 8000;
const MOST_ROWS = 200;

export interface ValueTableProps {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly pinned: number;
}

export function ValueTable({ model, rows, pinned }: ValueTableProps) {
  const shown = rows.filter((r) => !r.expanded);
  const [first, last] = model.window();
  const perPage = Math.min(MOST_ROWS, Math.max(1, shown.length));
  const across = Math.max(10, Math.floor(MOST_CELLS / perPage));
  const [rowPage, setRowPage] = useState(0);
  const [stepPage, setStepPage] = useState(0);
  const rowStart = Math.min(rowPage * perPage, Math.max(0, shown.length - 1));
  const stepStart = Math.min(first + stepPage * across, Math.max(first, last - 1));
  const stepEnd = Math.min(last, stepStart + across);
  const page = shown.slice(rowStart, rowStart + perPage);
  const samples = Array.from({ length: Math.max(0, stepEnd - stepStart) }, (_, i) => stepStart + i);
  const { steps } = model.loaded.series;
  return (
    <div class="table-view">
      <div class="table-pages">
        <Pager
          noun="Rows"
          from={rowStart + 1}
          to={rowStart + page.length}
          of={shown.length}
          turn={(by) => setRowPage(Math.floor(rowStart / perPage) + by)}
        />
        <Pager
          noun="Samples"
          from={stepStart - first + 1}
          to={stepEnd - first}
          of={last - first}
          turn={(by) => setStepPage(Math.floor((stepStart - first) / across) + by)}
        />
        <span class="muted">Every sample in the range of steps; a closed group shows its worst member</span>
      </div>
      <div class="table-scroll">
        <table data-testid="heatmap-table" data-statistic={model.statistic.name}>
          <caption class="visually-hidden">{model.statistic.label}, rows by steps</caption>
          <thead>
            <tr>
              <th scope="col">{model.statistic.rows === "layers" ? "Layer" : "Parameter"}</th>
              {samples.map((i) => (
                <th key={i} scope="col" data-step={steps[i]} class={i === pinned ? "pinned" : ""}>
                  {formatCount(steps[i] as number)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {page.map(({ node }) => (
              <tr key={node.key} class={addressOf(node) === view.layer.value ? "selected" : ""}>
                <th scope="row" title={node.name}>
                  {node.name || "model output"}
                  {node.kind === "group" && <span class="muted"> worst of {formatCount(node.rows.length)}</span>}
                </th>
                {samples.map((i) => {
                  const cell = model.cell(node, i);
                  return (
                    <td
                      key={i}
                      data-layer={node.name}
                      data-step={steps[i]}
                      class={cell.state === MISSING ? "weak" : cell.state === NONFINITE ? "broken" : ""}
                    >
                      {cellText(cell)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Pager(props: { noun: string; from: number; to: number; of: number; turn: (by: number) => void }) {
  const { noun, from, to, of, turn } = props;
  return (
    <span class="pager">
      <span>
        {noun} {formatCount(of === 0 ? 0 : from)}–{formatCount(to)} of {formatCount(of)}
      </span>
      {(from > 1 || to < of) && (
        <span class="segmented">
          <button
            type="button"
            disabled={from <= 1}
            aria-label={`Previous ${noun.toLowerCase()}`}
            onClick={() => turn(-1)}
          >
            ‹
          </button>
          <button type="button" disabled={to >= of} aria-label={`Next ${noun.toLowerCase()}`} onClick={() => turn(1)}>
            ›
          </button>
        </span>
      )}
    </span>
  );
}
