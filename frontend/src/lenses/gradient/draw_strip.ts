/** The selected row over time: where the colours say "something", this says how much. */
import { hatch, prepare } from "../../base/canvas";
import type { Scale } from "../../base/scales";
import { NONFINITE } from "../../data/series";
import type { TreeNode } from "../../data/tree";
import { CANVAS_FONT, type Theme } from "../../views/theme";
import { runs } from "./draw_heat_map";
import type { HeatModel } from "./model";

const TOP = 8;
const BOTTOM = 8;

export function drawStrip(
  canvas: HTMLCanvasElement,
  model: HeatModel,
  node: TreeNode,
  scale: Scale,
  width: number,
  height: number,
  theme: Theme,
): void {
  const context = prepare(canvas, width, height);
  if (!context || width <= 0) return;
  const { colours } = theme;
  const y = (value: number) => {
    const unit = scale.unit(value);
    return !Number.isNaN(unit) ? height - BOTTOM - unit * (height - TOP - BOTTOM) : height - 2;
  };
  context.font = CANVAS_FONT;
  context.textBaseline = "middle";
  context.lineWidth = 1;
  context.strokeStyle = colours.hairline;
  const ticks = scale.ticks(4);
  context.beginPath();
  for (const tick of ticks) {
    const at = Math.round(height - BOTTOM - tick.at * (height - TOP - BOTTOM)) + 0.5;
    context.moveTo(0, at);
    context.lineTo(width, at);
  }
  context.stroke();

  const { columns } = model;
  const { low, high, values } = model.of(node);
  context.fillStyle = theme.dark ? "rgb(125 180 245 / 0.22)" : "rgb(10 92 194 / 0.16)";
  for (let c = 0; c < columns.count; c++) {
    if (!((high[c] as number) >= (low[c] as number))) continue;
    const [top, bottom] = [y(high[c] as number), y(low[c] as number)];
    const left = (c / columns.count) * width;
    context.fillRect(left, top, width / columns.count + 0.5, Math.max(1, bottom - top));
  }
  context.strokeStyle = colours.accent;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  let pen = false;
  for (let c = 0; c < columns.count; c++) {
    const value = values[c] as number;
    if (Number.isNaN(value)) {
      pen = false;
      continue;
    }
    const at = ((c + 0.5) / columns.count) * width;
    if (pen) context.lineTo(at, y(value));
    else context.moveTo(at, y(value));
    pen = true;
  }
  context.stroke();

  const { state } = model.of(node);
  context.fillStyle = hatch(context, colours.hatchInk, colours.hatchPaper);
  runs(state, columns.count, NONFINITE, (from, to) => {
    const wide = Math.max(3, ((to - from) / columns.count) * width);
    context.fillRect(Math.min((from / columns.count) * width, width - wide), 0, wide, height);
  });
  context.fillStyle = colours.muted;
  context.textAlign = "left";
  for (const tick of ticks) {
    const at = height - BOTTOM - tick.at * (height - TOP - BOTTOM);
    const label = tick.label;
    const wide = context.measureText(label).width;
    context.fillStyle = colours.page;
    context.globalAlpha = 0.8;
    context.fillRect(2, at - 7, wide + 6, 14);
    context.globalAlpha = 1;
    context.fillStyle = colours.muted;
    context.fillText(label, 5, at);
  }
}
