/** The selected row over time: where the colours say "something", this says how much. */
import { hatch, polyline, tag } from "../../base/canvas";
import type { Scale } from "../../base/scales";
import { NONFINITE } from "../../data/series";
import type { TreeNode } from "../../data/tree";
import type { Theme } from "../../views/theme";
import { fillRuns } from "./draw_heat_map";
import type { HeatModel } from "./model";

/** Above and below the lines. */
export const INSET = 8;

export function drawStrip(
  model: HeatModel,
  other: HeatModel | null,
  node: TreeNode,
  scale: Scale,
  context: CanvasRenderingContext2D,
  theme: Theme,
  width: number,
  height: number,
): void {
  const { colours } = theme;
  const up = (unit: number) => height - INSET - unit * (height - 2 * INSET);
  const y = (value: number) => {
    const unit = scale.unit(value);
    return Number.isNaN(unit) ? height - 2 : up(unit);
  };
  const ticks = scale.ticks(4);
  context.fillStyle = colours.hairline;
  for (const tick of ticks) context.fillRect(0, Math.round(up(tick.at)), width, 1);

  const row = model.of(node);
  const { low, high } = row;
  const wide = width / low.length;
  context.fillStyle = theme.dark ? "rgb(125 180 245 / 0.22)" : "rgb(10 92 194 / 0.16)";
  for (let c = 0; c < low.length; c++) {
    const [top, bottom] = [y(high[c] as number), y(low[c] as number)];
    if (!Number.isNaN(low[c])) context.fillRect(c * wide, top, wide + 0.5, Math.max(1, bottom - top));
  }
  context.lineWidth = 1.5;
  const line = (values: Float32Array) =>
    polyline(
      context,
      0,
      values.length,
      (c) => (c + 0.5) * wide,
      (c) => (Number.isNaN(values[c]) ? Number.NaN : y(values[c] as number)),
    );
  if (other) {
    context.strokeStyle = colours.second;
    context.setLineDash([5, 3]);
    line(other.of(node).values);
    context.setLineDash([]);
  }
  context.strokeStyle = colours.accent;
  line(row.values);

  context.fillStyle = hatch(colours);
  fillRuns(context, row, NONFINITE, width, 0, height, 3);
  for (const { at, label } of ticks) tag(context, label, 2, up(at), "left", colours.muted, colours.page);
}
