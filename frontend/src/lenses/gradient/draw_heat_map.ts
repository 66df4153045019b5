/**
 * The heat map: pixels for numbers, patterns for what is not a number.
 *
 * Each row is one line of a small image, stretched to the row's height. Colour runs through a table; nothing is
 * allocated per cell.
 */
import { checker, hatch, pixelRatio, sheetOf } from "../../base/canvas";
import type { Reduced } from "../../data/buckets";
import { MISSING, NONFINITE } from "../../data/series";
import { isDiverging } from "../../data/statistics";
import type { VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import type { Theme } from "../../views/theme";
import type { HeatModel } from "./model";
import type { Shown } from "./shown";

const MIN_HATCH = 3;

/** An image of a line for each row, a pixel for each column; transparent where there is no number. */
export function paint(
  { columns: { count }, statistic, loaded }: HeatModel,
  { ramps, zeroPixel }: Theme,
  rows: readonly (Reduced | null)[],
): HTMLCanvasElement | null {
  const sheet = sheetOf(count, rows.length);
  if (!sheet) return null;
  const { pixels } = sheet;
  const { scale } = loaded.domain;
  const kind = statistic.scale;
  const ramp = isDiverging(kind) ? ramps.diverging : ramps.sequential;
  const hasZero = kind === "log" || kind === "ratio";
  pixels.fill(0);
  rows.forEach((row, line) => {
    if (!row) return;
    const { values } = row;
    for (let c = 0; c < count; c++) {
      const value = values[c] as number;
      if (value - value !== 0) continue;
      pixels[line * count + c] = hasZero && value === 0 ? zeroPixel : (ramp[Math.round(scale.unit(value) * 255)] ?? 0);
    }
  });
  sheet.show();
  return sheet.canvas;
}

/** A second run's rows are in the lower half of each. */
export function drawHeatMap(
  { main, below }: Shown,
  rows: readonly VisibleRow[],
  { first, last, rowHeight, scrollTop }: RowWindow,
  context: CanvasRenderingContext2D,
  theme: Theme,
  width: number,
): void {
  if (last <= first) return;
  const ratio = pixelRatio();
  const hatched = hatch(theme.colours);
  const checked = checker(theme.colours);
  /** Every row in the window, `height` high and `shift` from the top of its place. */
  const drawRows = (model: HeatModel, shift: number, height: number) => {
    const lines = rows.slice(first, last).map((row) => (row.expanded ? null : model.of(row.node)));
    const image = paint(model, theme, lines);
    if (!image) return;
    lines.forEach((line, r) => {
      if (!line) return;
      const top = Math.round(((first + r) * rowHeight - scrollTop) * ratio) / ratio + shift;
      context.drawImage(image, 0, r, image.width, 1, 0, top, width, height);
      context.fillStyle = checked;
      fillRuns(context, line, MISSING, width, top, height, 0);
      context.fillStyle = hatched;
      fillRuns(context, line, NONFINITE, width, top, height, MIN_HATCH);
    });
  };
  const height = rowHeight - 1;
  const half = below ? height >> 1 : height;
  drawRows(main, 0, half);
  if (below) drawRows(below, half, height - half);
}

/** Fills every stretch of columns in one state, at least so wide that it can be seen. */
export function fillRuns(
  context: CanvasRenderingContext2D,
  { state }: Reduced,
  wanted: number,
  width: number,
  top: number,
  height: number,
  least: number,
): void {
  const columns = state.length;
  for (let c = 0; c < columns; c++) {
    if (state[c] !== wanted) continue;
    const from = c;
    while (c < columns && state[c] === wanted) c++;
    const wide = Math.max(((c - from) / columns) * width, least);
    context.fillRect(Math.min((from / columns) * width, width - wide), top, wide, height);
  }
}
