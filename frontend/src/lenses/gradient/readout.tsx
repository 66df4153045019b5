/** What lies under the cursor, as text; read out loud when the cursor is moved with keys. */
import type { Signal } from "@preact/signals";
import { formatCount } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import { type ScaleKind, say } from "../../data/statistics";
import { leavesOf, type TreeNode } from "../../data/tree";
import { CursorLine } from "../../views/status_line";
import { exact } from "./cells_as_text";
import type { Cell } from "./model";
import type { Pointed } from "./pointing";
import { partsOf, readingOf, type Shown } from "./shown";

export interface ReadoutProps {
  readonly shown: Shown;
  readonly selected: TreeNode | null;
  readonly pinned: number;
  readonly hover: Signal<Pointed | null>;
}

export function Readout({ shown, selected, pinned, hover }: ReadoutProps) {
  const node = hover.value ? hover.value.node : selected;
  const sample = hover.value?.sample ?? pinned;
  const { series } = shown.a.loaded;
  const { label, scale } = shown.a.statistic;
  const step = series.steps[sample];
  if (!node || step === undefined) {
    return (
      <CursorLine data={{ "data-step": step }}>{step === undefined ? "" : `Step ${formatCount(step)}`}</CursorLine>
    );
  }
  const reading = readingOf(shown, node, sample);
  const { row, value } = reading.main;
  const from = node.kind === "group" && leavesOf(node).find((leaf) => leaf.row === row);
  const parts = partsOf(shown);
  const relative = !shown.b && shown.main !== shown.a;
  return (
    <CursorLine data={{ "data-layer": node.name, "data-step": step, "data-value": exact(value) }} loud={!hover.value}>
      <strong>{node.name || "model output"}</strong>
      <span class="sep">step {formatCount(step)}</span>
      {[...(relative ? [{ label, scale, of: () => reading.a }] : []), ...parts].map((part) => (
        <span key={part.label} class="sep">
          {part.label || shown.main.statistic.label} <strong>{inWords(part.of(reading), part.scale)}</strong>
        </span>
      ))}
      {from && (
        <span class="sep muted">
          worst of {formatCount(node.rows.length)}: {from.name || from.label}
        </span>
      )}
    </CursorLine>
  );
}

function inWords({ state, value }: Cell, scale: ScaleKind): string {
  if (state === MISSING) return "not measured";
  if (Number.isNaN(value)) return "not finite";
  return say(scale, value) + (state === NONFINITE ? ", with values not finite" : "");
}
