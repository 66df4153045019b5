/** Life lines: a line per unit, a column per record. */
import { checker, sheetOf } from "../../base/canvas";
import { packHex } from "../../base/ramps";
import { ABSENT, ALIVE, RARE, SILENT } from "../../data/units";
import type { Theme } from "../../views/theme";

export interface UnitMapPicture {
  /** Layout [records, units], see `lifeStates`. */
  readonly states: Uint8Array;
  /** The units to draw, from top to bottom, of how many. */
  readonly order: Uint32Array;
  readonly units: number;
  readonly records: number;
  /** Where each record begins, 0 … 1, and the end. */
  readonly edges: Float64Array;
}

/** Units that share a line of pixels: the most silent one shows, so that no dead unit is lost between two lines. */
export function drawUnitMap(
  picture: UnitMapPicture,
  context: CanvasRenderingContext2D,
  { colours }: Theme,
  width: number,
  height: number,
): void {
  const { states, order, records, edges } = picture;
  const lines = Math.min(order.length, Math.floor(height));
  if (lines <= 0 || records === 0) return;
  const sheet = sheetOf(records, lines);
  if (!sheet) return;
  const colour = [colours.alive, colours.rare, colours.silent].map(packHex);
  for (let line = 0; line < lines; line++) {
    const from = Math.floor((line * order.length) / lines);
    const to = Math.max(from + 1, Math.floor(((line + 1) * order.length) / lines));
    for (let r = 0; r < records; r++)
      sheet.pixels[line * records + r] = colour[worstOf(states, order, r * picture.units, from, to)] ?? 0;
  }
  sheet.show();
  context.fillStyle = checker(colours);
  context.fillRect(0, 0, width, height);
  for (let r = 0; r < records; r++) {
    const left = Math.round((edges[r] as number) * width);
    const right = Math.max(left + 1, Math.round((edges[r + 1] as number) * width));
    context.drawImage(sheet.canvas, r, 0, 1, lines, left, 0, right - left, height);
  }
  const tall = height / lines;
  if (tall >= 6) {
    context.fillStyle = colours.page;
    for (let line = 1; line < lines; line++) context.fillRect(0, Math.round(line * tall), width, 1);
  }
}

function worstOf(states: Uint8Array, order: Uint32Array, base: number, from: number, to: number): number {
  let worst = ABSENT;
  for (let i = from; i < to; i++) {
    const state = states[base + (order[i] as number)] as number;
    if (state === SILENT) return SILENT;
    if (state === RARE || (state === ALIVE && worst === ABSENT)) worst = state;
  }
  return worst;
}
