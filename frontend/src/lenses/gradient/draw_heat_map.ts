/**
 * The heat map: pixels for numbers, patterns for what is not a number.
 *
 * Each row is one line of a small image, stretched to the row's height. Colour runs through a table; nothing is
 * allocated per cell.
 */
import { checker, hatch, pixelRatio, prepare } from "../../base/canvas";
import type { Ramp } from "../../base/ramps";
import type { Scale } from "../../base/scales";
import type { Reduced } from "../../data/buckets";
import { MISSING, NONFINITE } from "../../data/series";
import type { VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import type { Theme } from "../../views/theme";
import type { HeatModel } from "./model";

const MIN_HATCH = 3;

let scratch: {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  image: ImageData;
  pixels: Uint32Array;
} | null = null;

function scratchFor(width: number, height: number): NonNullable<typeof scratch> | null {
  if (scratch?.image.width === width && scratch.image.height === height) return scratch;
  const canvas = scratch?.canvas ?? document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return null;
  const image = context.createImageData(width, height);
  scratch = { canvas, context, image, pixels: new Uint32Array(image.data.buffer) };
  return scratch;
}

/** Values of one row as pixels; transparent where there is none. */
export function paintLine(
  target: Uint32Array,
  offset: number,
  reduced: Reduced,
  columns: number,
  scale: Scale,
  ramp: Ramp,
  zero: number | null,
): void {
  const { values, state } = reduced;
  for (let c = 0; c < columns; c++) {
    const value = values[c] as number;
    let pixel = 0;
    if (state[c] !== MISSING && value - value === 0) {
      if (zero !== null && value === 0) pixel = zero;
      else pixel = ramp[Math.round(scale.unit(value) * 255)] ?? 0;
    }
    target[offset + c] = pixel;
  }
}

export interface HeatMapPicture {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly width: number;
  readonly theme: Theme;
}

export function drawHeatMap(canvas: HTMLCanvasElement, picture: HeatMapPicture): void {
  const { model, rows, view, width, theme } = picture;
  const context = prepare(canvas, width, view.height);
  const lines = view.last - view.first;
  if (!context || lines <= 0 || width <= 0) return;
  const columns = model.columns.count;
  const sheet = scratchFor(columns, lines);
  if (!sheet) return;
  sheet.pixels.fill(0);
  const kind = model.statistic.scale;
  const ramp = kind === "signed" ? theme.ramps.diverging : theme.ramps.sequential;
  const zero = kind === "log" ? theme.zeroPixel : null;
  for (let r = 0; r < lines; r++) {
    const row = rows[view.first + r];
    if (!row || row.expanded) continue;
    paintLine(sheet.pixels, r * columns, model.of(row.node), columns, model.loaded.domain.scale, ramp, zero);
  }
  sheet.context.putImageData(sheet.image, 0, 0);
  context.imageSmoothingEnabled = false;
  const ratio = pixelRatio();
  const hatched = hatch(context, theme.colours.hatchInk, theme.colours.hatchPaper);
  const checked = checker(context, theme.colours.checkInk, theme.colours.checkPaper);
  for (let r = 0; r < lines; r++) {
    const row = rows[view.first + r];
    if (!row || row.expanded) continue;
    const top = Math.round(((view.first + r) * view.rowHeight - view.scrollTop) * ratio) / ratio;
    const height = view.rowHeight - 1;
    context.drawImage(sheet.canvas, 0, r, columns, 1, 0, top, width, height);
    const { state } = model.of(row.node);
    context.fillStyle = checked;
    runs(state, columns, MISSING, (from, to) => fill(context, from, to, columns, width, top, height, 0));
    context.fillStyle = hatched;
    runs(state, columns, NONFINITE, (from, to) => fill(context, from, to, columns, width, top, height, MIN_HATCH));
  }
}

/** Calls `each` for every stretch of columns in one state. */
export function runs(
  state: Uint8Array,
  columns: number,
  wanted: number,
  each: (from: number, to: number) => void,
): void {
  for (let c = 0; c < columns; c++) {
    if (state[c] !== wanted) continue;
    const from = c;
    while (c < columns && state[c] === wanted) c++;
    each(from, c);
  }
}

function fill(
  context: CanvasRenderingContext2D,
  from: number,
  to: number,
  columns: number,
  width: number,
  top: number,
  height: number,
  least: number,
): void {
  const left = (from / columns) * width;
  const wide = Math.max(((to - from) / columns) * width, least);
  context.fillRect(Math.min(left, width - wide), top, wide, height);
}
