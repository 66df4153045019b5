/** The whole run in one strip above the rows: a map to see all layers at once, and to choose the steps on. */
import { useMemo, useRef } from "preact/hooks";
import { plural } from "../../base/format";
import { useCanvas, useLate, useSize } from "../../base/hooks";
import type { TreeNode, VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import type { RowWindow } from "../../views/row_frame";
import { type Theme, theme } from "../../views/theme";
import { drawOverview, leavesOf } from "./draw_overview";
import type { HeatModel } from "./model";
import { setRange } from "./pointing";

export interface OverviewProps {
  readonly model: HeatModel;
  readonly tree: TreeNode;
  readonly rows: readonly VisibleRow[];
  readonly rowView: RowWindow | null;
  readonly extent: readonly [number, number];
}

export function Overview({ model: next, tree, rows, rowView }: OverviewProps) {
  const model = useLate(next);
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const leaves = useMemo(() => leavesOf(tree), [tree]);
  const canvas = useMemo(
    () => model && <OverviewCanvas model={model} leaves={leaves} width={width} height={height} theme={theme.value} />,
    [model, leaves, width, height, theme.value],
  );
  const range = view.range.value;
  const [left, right] = range ? [next.axis.unit(range[0]), next.axis.unit(range[1])] : [0, 1];
  const [top, bottom] = rowSpan(leaves, rows, rowView);
  return (
    <div class="overview" ref={box}>
      <Brush
        class="overview-brush"
        onRange={(from, to) => setRange(next, from, to)}
        onReset={() => {
          view.range.value = null;
        }}
      >
        <div role="img" aria-label={`Overview of all ${plural(leaves.length, "row")} over all steps`}>
          {canvas}
        </div>
        {range && (
          <>
            <div class="overview-shade" style={{ left: 0, width: `${clampShare(left) * 100}%` }} />
            <div class="overview-shade" style={{ left: `${clampShare(right) * 100}%`, right: 0 }} />
          </>
        )}
        <div
          class="overview-rows"
          style={{ top: `${top * height}px`, height: `${Math.max(2, (bottom - top) * height)}px` }}
        />
      </Brush>
    </div>
  );
}

function OverviewCanvas(props: {
  model: HeatModel;
  leaves: readonly TreeNode[];
  width: number;
  height: number;
  theme: Theme;
}) {
  const canvas = useCanvas((element) =>
    drawOverview(element, props.model, props.leaves, props.width, props.height, props.theme),
  );
  return <canvas ref={canvas} style={{ width: `${props.width}px`, height: `${props.height}px` }} />;
}

const clampShare = (share: number): number => Math.max(0, Math.min(1, share));

/** Which part of all layers the window of rows covers. */
function rowSpan(leaves: readonly TreeNode[], rows: readonly VisibleRow[], window: RowWindow | null): [number, number] {
  const [first, last] = window ? [rows[window.first], rows[window.last - 1]] : [];
  if (!first || !last || leaves.length === 0) return [0, 1];
  const place = new Map(leaves.map((leaf, i) => [leaf.row, i]));
  const from = place.get(first.node.rows[0] ?? -1) ?? 0;
  const end = last.expanded ? last.node.rows[0] : last.node.rows[last.node.rows.length - 1];
  const to = (place.get(end ?? -1) ?? leaves.length - 1) + 1;
  return [from / leaves.length, to / leaves.length];
}
