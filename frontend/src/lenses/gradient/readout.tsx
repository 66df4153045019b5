/** What lies under the cursor, as text; read out loud when the cursor is moved with keys. */
import type { Signal } from "@preact/signals";
import { formatCount, formatExact, formatShare, formatValue } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import type { TreeNode, VisibleRow } from "../../data/tree";
import { StatusLine } from "../../views/status_line";
import type { HeatModel } from "./model";
import type { Pointed } from "./pointing";

export interface ReadoutProps {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly selected: TreeNode | null;
  readonly pinned: number;
  readonly hover: Signal<Pointed | null>;
}

export function Readout({ model, selected, pinned, hover }: ReadoutProps) {
  const node = hover.value ? hover.value.node : selected;
  const sample = hover.value?.sample ?? pinned;
  const { series } = model.loaded;
  const step = series.steps[sample];
  if (!node || step === undefined) {
    return (
      <StatusLine>
        <span data-testid="cursor-readout" data-step={step}>
          {step === undefined ? "" : `Step ${formatCount(step)}`}
        </span>
      </StatusLine>
    );
  }
  const cell = model.cell(node, sample);
  const from = node.kind === "group" && cell.row >= 0 ? memberName(node, cell.row) : null;
  const say = model.statistic.scale === "share" ? formatShare : formatValue;
  const value =
    cell.state === MISSING
      ? "not measured"
      : Number.isNaN(cell.value)
        ? "not finite"
        : say(cell.value) + (cell.state === NONFINITE ? ", with values not finite" : "");
  return (
    <StatusLine>
      <span
        data-testid="cursor-readout"
        data-layer={node.name}
        data-step={step}
        data-value={formatExact(cell.value)}
        aria-live={hover.value ? "off" : "polite"}
      >
        <strong>{node.name || "model output"}</strong>
        <span class="sep">step {formatCount(step)}</span>
        <span class="sep">
          {model.statistic.label} <strong>{value}</strong>
        </span>
        {from && (
          <span class="sep muted">
            worst of {formatCount(node.rows.length)}: {from}
          </span>
        )}
      </span>
    </StatusLine>
  );
}

function memberName(node: TreeNode, row: number): string {
  for (const child of node.children) {
    if (child.row === row) return child.name;
    if (child.kind === "group" && child.rows.includes(row)) return memberName(child, row);
  }
  return "";
}
