/**
 * The depth profile: the signal at one step, row by row, on the value axis of the colours. Rows line up with the heat
 * map, so the line is the "signal propagation plot" turned on its side.
 */
import { hatch, polyline } from "../../base/canvas";
import type { Band } from "../../data/expected";
import { MISSING, NONFINITE } from "../../data/series";
import type { TreeNode, VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import type { Theme } from "../../views/theme";
import type { Shown } from "./shown";

export const PROFILE_INSET = 16;

export interface ProfilePicture {
  readonly shown: Shown;
  readonly band: Band | null;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly sample: number;
  readonly selected: TreeNode | null;
}

export function drawProfile(
  { shown: { a: model, b }, band, rows, view, sample, selected }: ProfilePicture,
  context: CanvasRenderingContext2D,
  theme: Theme,
  width: number,
): void {
  const { colours } = theme;
  const { scale } = model.loaded.domain;
  const along = (unit: number) => PROFILE_INSET + unit * (width - 2 * PROFILE_INSET);
  // An exact zero on a logarithmic axis stands left of all.
  const x = (value: number) => {
    const unit = scale.unit(value);
    return Number.isNaN(unit) ? 4 : along(unit);
  };
  // One row beyond each edge, so that the line runs off the window and does not end in it.
  const first = Math.max(0, view.first - 1);
  const drawn = rows.slice(first, view.last + 1).flatMap(({ node, expanded }, i) => {
    const y = (first + i + 0.5) * view.rowHeight - view.scrollTop;
    return expanded ? [] : [{ node, y, cell: model.cell(node, sample), expected: expectedOf(band, node) }];
  });

  context.fillStyle = colours.hairline;
  for (const { at } of scale.ticks(5)) context.fillRect(Math.round(along(at)), 0, 1, view.height);

  const middles = drawn.flatMap(({ y, expected: [low, high] }) => (low < high ? [[y, x(low), x(high)] as const] : []));
  drawBand(context, theme, middles, view.rowHeight / 2);

  context.fillStyle = theme.dark ? "#3b4149" : "#dde2e8";
  for (const { node, y } of drawn) {
    const { low, high } = model.span(node);
    if (high >= low) context.fillRect(x(low), y - 2, Math.max(1, x(high) - x(low)), 4);
  }

  const line = (values: readonly number[]) =>
    polyline(
      context,
      0,
      drawn.length,
      (i) => x(values[i] as number),
      (i) => (Number.isNaN(values[i]) ? Number.NaN : (drawn[i]?.y as number)),
    );
  context.lineWidth = 1.5;
  if (b) {
    const at = b.sampleInForce(model, sample);
    context.strokeStyle = colours.second;
    context.setLineDash([5, 3]);
    line(drawn.map(({ node }) => b.cell(node, at).value));
    context.setLineDash([]);
  }
  context.strokeStyle = colours.accent;
  line(drawn.map(({ cell }) => cell.value));

  const stripes = hatch(colours);
  for (const { node, y, cell, expected } of drawn) {
    const { value, state } = cell;
    const [low, high] = expected;
    // Of a group its members, around the worst of them.
    context.fillStyle = colours.muted;
    for (const child of node.children.length > 0 ? node.rows : []) {
      const of = model.cell({ rows: [child] }, sample).value;
      if (!Number.isNaN(of)) context.fillRect(Math.round(x(of)), y - 4, 1, 8);
    }
    if (state === NONFINITE) {
      context.fillStyle = stripes;
      context.fillRect(width - 14, y - 5, 10, 10);
      context.fillStyle = colours.critical;
      context.textAlign = "right";
      context.fillText(Number.isNaN(value) ? "NaN" : "part", width - 18, y);
    } else if (state === MISSING) {
      context.textAlign = "left";
      context.fillText("not measured", 8, y);
    }
    if (Number.isNaN(value)) continue;
    const chosen = node === selected;
    const ink = value < low || value > high ? colours.warning : colours.accent;
    context.beginPath();
    context.arc(x(value), y, chosen ? 4.5 : 3, 0, 2 * Math.PI);
    context.fillStyle = chosen ? colours.page : ink;
    context.fill();
    if (chosen) {
      context.lineWidth = 2;
      context.strokeStyle = ink;
      context.stroke();
    }
  }
}

/** Lowest and highest that is expected of a row, or of any in a group; NaN for nothing. */
function expectedOf(band: Band | null, node: TreeNode): [number, number] {
  let [low, high] = [Number.NaN, Number.NaN];
  for (const row of node.rows) {
    const [least, most] = [band?.low[row] ?? Number.NaN, band?.high[row] ?? Number.NaN];
    if (least < low || Number.isNaN(low)) low = least;
    if (most > high || Number.isNaN(high)) high = most;
  }
  return [low, high];
}

/** One shape from row to row, with slanted edges between their middles; `half`: of the height of a row. */
function drawBand(
  context: CanvasRenderingContext2D,
  { colours }: Theme,
  middles: readonly (readonly [y: number, left: number, right: number])[],
  half: number,
): void {
  const [top, bottom] = [middles[0], middles[middles.length - 1]];
  if (!top || !bottom) return;
  const edge = [[top[0] - half, top[1], top[2]], ...middles, [bottom[0] + half, bottom[1], bottom[2]]] as const;
  context.beginPath();
  for (const [y, left] of edge) context.lineTo(left, y);
  for (const [y, , right] of [...edge].reverse()) context.lineTo(right, y);
  context.closePath();
  context.fillStyle = colours.goodSoft;
  context.fill();
  context.strokeStyle = colours.good;
  context.globalAlpha = 0.4;
  context.stroke();
  context.globalAlpha = 1;
}
