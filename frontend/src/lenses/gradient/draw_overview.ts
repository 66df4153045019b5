/** All layers by all steps, always whole, a few pixels high: several layers share a line, and the worst is shown. */
import { hatch } from "../../base/canvas";
import { NONFINITE } from "../../data/series";
import type { TreeNode } from "../../data/tree";
import type { Theme } from "../../views/theme";
import { fillRuns, paint } from "./draw_heat_map";
import type { HeatModel } from "./model";

export function drawOverview(
  model: HeatModel,
  nodes: readonly TreeNode[],
  context: CanvasRenderingContext2D,
  theme: Theme,
  width: number,
  height: number,
): void {
  const lines = nodes.map((node) => model.of(node));
  const image = lines.length > 0 && paint(model, theme, lines);
  if (!image) return;
  context.drawImage(image, 0, 0, width, height);
  const tall = height / lines.length;
  // Stripes need room: a line of one or two pixels is marked solid.
  context.fillStyle = tall >= 3 ? hatch(theme.colours) : theme.colours.hatchInk;
  lines.forEach((line, i) => {
    fillRuns(context, line, NONFINITE, width, i * tall, Math.max(1.5, tall), 2);
  });
}
