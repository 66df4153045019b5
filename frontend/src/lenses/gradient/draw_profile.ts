/**
 * The depth profile: the signal at one step, row by row, on the value axis of the colours. Rows line up with the heat
 * map, so the line is the "signal propagation plot" turned on its side.
 */
import { hatch, prepare } from "../../base/canvas";
import type { Scale } from "../../base/scales";
import { MISSING, NONFINITE } from "../../data/series";
import type { VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import { CANVAS_FONT, type Theme } from "../../views/theme";
import { cellOf, type HeatModel } from "./model";

export const PROFILE_INSET = 16;

export interface ProfilePicture {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly width: number;
  readonly sample: number;
  readonly selected: string | null;
  readonly theme: Theme;
}

export function drawProfile(canvas: HTMLCanvasElement, picture: ProfilePicture): void {
  const { model, rows, view, width, sample, theme } = picture;
  const context = prepare(canvas, width, view.height);
  if (!context || width <= 2 * PROFILE_INSET) return;
  const { colours } = theme;
  const { scale } = model.loaded.domain;
  const x = (value: number) => profileX(scale, value, width);

  context.strokeStyle = colours.hairline;
  context.lineWidth = 1;
  context.beginPath();
  for (const tick of scale.ticks(5)) {
    const at = Math.round(PROFILE_INSET + tick.at * (width - 2 * PROFILE_INSET)) + 0.5;
    context.moveTo(at, 0);
    context.lineTo(at, view.height);
  }
  context.stroke();

  // One row beyond each edge, so that the line runs off the window and does not end in it.
  const first = Math.max(0, view.first - 1);
  const last = Math.min(rows.length, view.last + 1);
  const middle = (index: number) => (index + 0.5) * view.rowHeight - view.scrollTop;

  context.fillStyle = theme.dark ? "#3b4149" : "#dde2e8";
  for (let i = first; i < last; i++) {
    const row = rows[i];
    if (!row || row.expanded) continue;
    const span = model.span(row.node);
    if (!(span.high >= span.low)) continue;
    const [left, right] = [x(span.low), x(span.high)];
    context.fillRect(Math.min(left, right), middle(i) - 2, Math.max(1, Math.abs(right - left)), 4);
  }

  context.strokeStyle = colours.accent;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  let pen = false;
  for (let i = first; i < last; i++) {
    const row = rows[i];
    if (!row || row.expanded) continue;
    const { value } = model.cell(row.node, sample);
    if (Number.isNaN(value)) {
      pen = false;
      continue;
    }
    if (pen) context.lineTo(x(value), middle(i));
    else context.moveTo(x(value), middle(i));
    pen = true;
  }
  context.stroke();

  const stripes = hatch(context, colours.hatchInk, colours.hatchPaper);
  context.font = CANVAS_FONT;
  context.textBaseline = "middle";
  for (let i = first; i < last; i++) {
    const row = rows[i];
    if (!row || row.expanded) continue;
    const y = middle(i);
    const cell = model.cell(row.node, sample);
    if (row.node.kind === "group") drawChildren(context, picture, row, y, x);
    if (cell.state === NONFINITE) {
      context.fillStyle = stripes;
      context.fillRect(width - 14, y - 5, 10, 10);
      context.fillStyle = colours.critical;
      context.textAlign = "right";
      context.fillText(Number.isNaN(cell.value) ? "NaN" : "part", width - 18, y);
    } else if (cell.state === MISSING) {
      context.fillStyle = colours.muted;
      context.textAlign = "left";
      context.fillText("not measured", 8, y);
    }
    if (Number.isNaN(cell.value)) continue;
    const chosen = row.node.key === picture.selected;
    context.beginPath();
    context.arc(x(cell.value), y, chosen ? 4.5 : 3, 0, 2 * Math.PI);
    context.fillStyle = chosen ? colours.page : colours.accent;
    context.fill();
    if (chosen) {
      context.lineWidth = 2;
      context.strokeStyle = colours.accent;
      context.stroke();
    }
  }
}

/** More children than this would run into one bar of ticks; the bar alone says so better. */
const MOST_TICKS = 40;

/** A collapsed group: its children as ticks around the worst of them. */
function drawChildren(
  context: CanvasRenderingContext2D,
  picture: ProfilePicture,
  row: VisibleRow,
  y: number,
  x: (value: number) => number,
): void {
  const { model, sample, theme } = picture;
  context.fillStyle = theme.colours.muted;
  if (row.node.rows.length > MOST_TICKS) {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const child of row.node.rows) {
      const { value } = cellOf(model.loaded, model.statistic, [child], sample);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (high >= low) context.fillRect(x(low), y - 1, Math.max(1, x(high) - x(low)), 2);
    return;
  }
  for (const child of row.node.rows) {
    const { value } = cellOf(model.loaded, model.statistic, [child], sample);
    if (!Number.isNaN(value)) context.fillRect(Math.round(x(value)), y - 4, 1, 8);
  }
}

/** Where a value stands; an exact zero on a logarithmic axis stands left of all. */
export function profileX(scale: Scale, value: number, width: number): number {
  const unit = scale.unit(value);
  return !Number.isNaN(unit) ? PROFILE_INSET + unit * (width - 2 * PROFILE_INSET) : 4;
}
