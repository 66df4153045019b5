/** All layers by all steps, always whole, a few pixels high: several layers share a line and the worst is shown. */
import { hatch, prepare } from "../../base/canvas";
import { NONFINITE } from "../../data/series";
import type { TreeNode } from "../../data/tree";
import type { Theme } from "../../views/theme";
import { paintLine, runs } from "./draw_heat_map";
import type { HeatModel } from "./model";

/** Leaves in drawing order. */
export function leavesOf(tree: TreeNode): TreeNode[] {
  return tree.kind === "leaf" ? [tree] : tree.children.flatMap(leavesOf);
}

export function drawOverview(
  canvas: HTMLCanvasElement,
  model: HeatModel,
  leaves: readonly TreeNode[],
  width: number,
  height: number,
  theme: Theme,
): void {
  const context = prepare(canvas, width, height);
  if (!context || leaves.length === 0 || width <= 0) return;
  const columns = model.columns.count;
  const lines = Math.min(leaves.length, height);
  const sheet = document.createElement("canvas");
  sheet.width = columns;
  sheet.height = lines;
  const paper = sheet.getContext("2d");
  if (!paper) return;
  const image = paper.createImageData(columns, lines);
  const pixels = new Uint32Array(image.data.buffer);
  const kind = model.statistic.scale;
  const ramp = kind === "signed" ? theme.ramps.diverging : theme.ramps.sequential;
  const broken: { line: number; state: Uint8Array }[] = [];
  for (let line = 0; line < lines; line++) {
    const members = leaves.slice(
      Math.floor((line * leaves.length) / lines),
      Math.floor(((line + 1) * leaves.length) / lines),
    );
    const merged = model.merge(members);
    paintLine(
      pixels,
      line * columns,
      merged,
      columns,
      model.loaded.domain.scale,
      ramp,
      kind === "log" ? theme.zeroPixel : null,
    );
    if (merged.state.includes(NONFINITE)) broken.push({ line, state: merged.state });
  }
  paper.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, 0, 0, width, height);
  const tall = height / lines;
  // Stripes need room: a line of one or two pixels is marked solid.
  context.fillStyle =
    tall >= 3 ? hatch(context, theme.colours.hatchInk, theme.colours.hatchPaper) : theme.colours.hatchInk;
  for (const { line, state } of broken) {
    runs(state, columns, NONFINITE, (from, to) => {
      const wide = Math.max(2, ((to - from) / columns) * width);
      context.fillRect(Math.min((from / columns) * width, width - wide), line * tall, wide, Math.max(1.5, tall));
    });
  }
}
