/** Life lines: a line per unit, a column per record. */
import { checker, prepare } from "../../base/canvas";
import { packHex } from "../../base/ramps";
import { ABSENT, ALIVE, RARE, SILENT } from "../../data/units";
import type { Theme } from "../../views/theme";

export interface UnitMapPicture {
  /** Layout [records, units], see `lifeStates`. */
  readonly states: Uint8Array;
  readonly order: Uint32Array;
  readonly records: number;
  /** Where each record begins, 0 … 1, and the end. */
  readonly edges: Float64Array;
  readonly width: number;
  readonly height: number;
  readonly theme: Theme;
}

/** Units that share a line of pixels: the most silent one shows, so that no dead unit is lost between two lines. */
export function drawUnitMap(canvas: HTMLCanvasElement, picture: UnitMapPicture): void {
  const { states, order, records, edges, width, height, theme } = picture;
  const context = prepare(canvas, width, height);
  const units = order.length;
  const lines = Math.min(units, Math.floor(height));
  if (!context || lines <= 0 || records === 0 || width <= 0) return;
  const sheet = document.createElement("canvas");
  sheet.width = records;
  sheet.height = lines;
  const paper = sheet.getContext("2d");
  if (!paper) return;
  const image = paper.createImageData(records, lines);
  const pixels = new Uint32Array(image.data.buffer);
  const { colours } = theme;
  const colour = [colours.alive, colours.rare, colours.silent].map(packHex);
  for (let line = 0; line < lines; line++) {
    const from = Math.floor((line * units) / lines);
    const to = Math.max(from + 1, Math.floor(((line + 1) * units) / lines));
    for (let r = 0; r < records; r++)
      pixels[line * records + r] = colour[worstOf(states, order, r * units, from, to)] ?? 0;
  }
  paper.putImageData(image, 0, 0);
  context.fillStyle = checker(context, colours.checkInk, colours.checkPaper);
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  for (let r = 0; r < records; r++) {
    const left = Math.round((edges[r] as number) * width);
    const right = Math.max(left + 1, Math.round((edges[r + 1] as number) * width));
    context.drawImage(sheet, r, 0, 1, lines, left, 0, right - left, height);
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
