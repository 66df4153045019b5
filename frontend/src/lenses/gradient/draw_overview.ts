/** All layers by all steps, always whole, a few pixels high: several layers share a line and the worst is shown. */
import { hatch, prepare } from "../../base/canvas";
import { newReduced, worse } from "../../data/buckets";
import { FINITE, MISSING, NONFINITE } from "../../data/series";
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
    const merged = merge(model, members);
    paintLine(pixels, line * columns, merged, columns, model.loaded.domain.scale, ramp, kind === "log" ? theme.zeroPixel : null);
    if (merged.state.includes(NONFINITE)) broken.push({ line, state: merged.state });
  }
  paper.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, 0, 0, width, height);
  context.fillStyle = hatch(context, theme.colours.hatchInk, theme.colours.hatchInk);
  const tall = height / lines;
  for (const { line, state } of broken) {
    runs(state, columns, NONFINITE, (from, to) => {
      const wide = Math.max(2, ((to - from) / columns) * width);
      context.fillRect(Math.min((from / columns) * width, width - wide), line * tall, wide, Math.max(1.5, tall));
    });
  }
}

function merge(model: HeatModel, members: readonly TreeNode[]): ReturnType<typeof newReduced> {
  const only = members[0];
  if (members.length === 1 && only) return model.of(only);
  const out = newReduced(model.columns.count);
  for (const member of members) {
    const part = model.of(member);
    for (let c = 0; c < out.values.length; c++) {
      const kind = part.state[c] as number;
      if (kind === MISSING) continue;
      if (kind === NONFINITE) out.state[c] = NONFINITE;
      else if (out.state[c] === MISSING) out.state[c] = FINITE;
      const value = part.values[c] as number;
      const best = out.values[c] as number;
      if (value - value === 0 && worse(value, best, model.statistic.reducer, model.loaded.domain.reference)) {
        out.values[c] = value;
      }
    }
  }
  return out;
}
