/** Which histograms are drawn, and how high. */
import { clamp } from "../../base/scales";
import { EMPTY, type Histogram, type Histograms, summaryOf } from "../../data/histograms";
import { sampleAt } from "../../data/series";
import type { Outline, ValueAxis } from "./value_axis";

/** Fewer pixels between two ridges, and their numbers would touch. */
const SPACING = 14;
const MOST_RIDGES = 60;

export const ridgesIn = (height: number): number => clamp(Math.floor(height / SPACING) - 2, 8, MOST_RIDGES);

/** Place in `steps` of the last record at or before a step; null: the last. */
export const recordAt = (steps: Float64Array, step: number | null): number => sampleAt(steps, steps.length, step);

export const isBroken = (histogram: Histogram): boolean => summaryOf(histogram).finite < histogram.total;
export const brokenAt = (data: Histograms, i: number): boolean => isBroken(data.list[i] ?? EMPTY);

/**
 * Records to draw, rising: every second, fourth, eighth … so that at most `most` are left. A new record then adds a
 * ridge and moves none. Besides: the first and the last in the range, the pinned one, and where NaN or Inf begins.
 */
export function chooseRecords(
  data: Histograms,
  range: readonly [number, number] | null,
  pinned: number,
  most: number,
): number[] {
  const { steps } = data;
  const inside = Array.from(steps.keys()).filter((i) => {
    const step = steps[i] as number;
    return data.list[i] !== undefined && (!range || (step >= range[0] && step <= range[1]));
  });
  let stride = 1;
  while (inside.length > stride * most) stride *= 2;
  const chosen = new Set(inside.filter((i) => i % stride === 0));
  for (const i of [inside[0], inside[inside.length - 1], inside.includes(pinned) ? pinned : undefined]) {
    if (i !== undefined) chosen.add(i);
  }
  for (const i of inside) if (chosen.size < most + 8 && brokenAt(data, i) && !brokenAt(data, i - 1)) chosen.add(i);
  return [...chosen].sort((a, b) => a - b);
}

/**
 * Pixels per density, one for all ridges: the usual peak is as high as `usual`, the highest about as `most`. What is
 * higher still is cut there.
 */
export function heightScale(outlines: readonly Outline[], usual: number, most: number): number {
  const peaks = outlines.map((o) => o.density.reduce((a, b) => Math.max(a, b), 0)).filter((p) => p > 0);
  peaks.sort((a, b) => a - b);
  const median = peaks[peaks.length >> 1];
  const highest = peaks[peaks.length - 1];
  if (median === undefined || highest === undefined) return 1;
  return Math.min((2 * usual) / median, Math.max(most / highest, usual / median));
}

/** The outline as a path above a baseline at 0. */
export function outlinePath({ x, density }: Outline, scale: number, most: number): string {
  let path = "";
  let end = Number.NaN;
  for (let i = 0; i < density.length; i++) {
    const height = Math.min(most, (density[i] as number) * scale);
    const [left, right] = [round(x[2 * i] as number), round(x[2 * i + 1] as number)];
    path += left === end ? `V${round(-height)}` : `${path && "V0"}M${left} 0V${round(-height)}`;
    path += `H${right}`;
    end = right;
  }
  return path && `${path}V0`;
}

/** A bar on the same baseline. */
export const barPath = ([from, to]: readonly [number, number], height: number): string =>
  height > 0 ? `M${round(from)} 0V${round(-height)}H${round(to)}V0` : "";

const round = (n: number): number => Math.round(n * 10) / 10;

export const isCut = (outline: Outline, scale: number, most: number): boolean =>
  outline.density.some((d) => d * scale > most + 0.5);

/** Where a format's limits lie: from the gap or zero to `vanish`, and from `overflow` to the end, on each side. */
export function lostZones(axis: ValueAxis, vanish: number, overflow: number): readonly (readonly [number, number])[] {
  const zones = [
    ...(axis.last > 0 ? [[axis.zero[1], axis.x(vanish)] as const, [axis.x(overflow), axis.width] as const] : []),
    ...(axis.first < 0 ? [[axis.x(-vanish), axis.zero[0]] as const, [0, axis.x(-overflow)] as const] : []),
  ];
  return zones
    .map(([from, to]) => [clamp(from, 0, axis.width), clamp(to, 0, axis.width)] as const)
    .filter(([from, to]) => to - from > 0.25);
}
