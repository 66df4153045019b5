/** The whole run in one strip above the rows: a map to see all layers at once, and to choose the steps on. */
import type { Signal } from "@preact/signals";
import { plural } from "../../base/format";
import { clamp } from "../../base/scales";
import type { TreeNode, VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import type { RowWindow } from "../../views/row_frame";
import { drawOverview } from "./draw_overview";
import type { HeatModel } from "./model";
import { Panel } from "./panel";
import type { PictureProps } from "./picture_props";

export interface OverviewProps extends PictureProps {
  /** What is drawn: the model whose lines were made last. */
  readonly late: HeatModel | undefined;
  readonly lines: TreeNode;
  /** Only this strip follows it: the rest of the picture need not be made anew for a scroll. */
  readonly rowView: Signal<RowWindow | null>;
}

export function Overview({ whole: { axis }, late, lines, tree, rows, rowView }: OverviewProps) {
  const [from, to] = view.range.value ?? [];
  const before = from === undefined ? 0 : clamp(axis.unit(from));
  const after = to === undefined ? 0 : 1 - clamp(axis.unit(to));
  const [top, bottom] = rowSpan(tree, rows, rowView.value);
  return (
    <div class="overview">
      <Brush class="overview-brush" axis={axis}>
        <Panel
          class="key-picture"
          label={`Overview of all ${plural(tree.rows.length, "row")} over all steps`}
          draw={(...pen) => late && drawOverview(late, lines.children, ...pen)}
          of={[late, lines]}
        />
        <div class="overview-shade" style={{ left: 0, width: percent(before) }} />
        <div class="overview-shade" style={{ right: 0, width: percent(after) }} />
        <div class="overview-rows" style={{ top: percent(top), height: `max(2px, ${percent(bottom - top)})` }} />
      </Brush>
    </div>
  );
}

const percent = (share: number): string => `${share * 100}%`;

/** Which part of all layers the window of rows covers. */
function rowSpan({ rows: all }: TreeNode, rows: readonly VisibleRow[], window: RowWindow | null): [number, number] {
  const [first, last] = window ? [rows[window.first], rows[window.last - 1]] : [];
  if (!first || !last) return [0, 1];
  const place = (row = -1) => all.indexOf(row) / all.length;
  const { node, expanded } = last;
  return [place(first.node.rows[0]), place(node.rows[expanded ? 0 : node.rows.length - 1]) + 1 / all.length];
}
