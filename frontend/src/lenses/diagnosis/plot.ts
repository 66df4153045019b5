/**
 * A piece of evidence as lines in a box. Many rows in the order of depth are drawn over the depth, a line per step;
 * otherwise over the steps, a line per row. Few lines; the server sends no more points than fit.
 */
import type { Scale } from "../../base/scales";
import type { Evidence } from "../../data/diagnosis";
import { lineScale } from "../../data/domain";
import { statisticOf } from "../../data/statistics";

export interface Box {
  readonly width: number;
  readonly height: number;
  /** Room around the lines. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Plot {
  readonly lines: readonly PlotLine[];
  /** NaN or Inf, where it was measured so. */
  readonly broken: readonly Point[];
  /** A line over the depth, or the band that the rows' values span. */
  readonly expected: { readonly line: string; readonly area: string } | null;
  readonly ticks: readonly { readonly y: number; readonly label: string }[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface PlotLine {
  /** Index of the row, or over the depth of the step. */
  readonly of: number;
  readonly main: boolean;
  readonly path: string;
  /** Where a line cannot be: a value without neighbours. */
  readonly dots: readonly Point[];
}

const MOST_LINES = 10;
const LEAST_DEPTH = 5;
const THINNEST_BAND = 3;
const LEAST_APART = 12;

export function overDepth(evidence: Evidence, order: ReadonlyMap<string, number>): boolean {
  const { rows, steps } = evidence;
  if (rows.length > 1 && steps.length === 1) return true;
  if (rows.length < LEAST_DEPTH) return false;
  const places = rows.map((name) => order.get(name) ?? Number.NaN);
  return places.every((place, i) => i === 0 || place > (places[i - 1] as number));
}

export function plotOf(evidence: Evidence, depth: boolean, box: Box): Plot {
  const { rows, steps, values, expected } = evidence;
  const { scale: kind } = statisticOf(evidence.statistic);
  const scale = lineScale(kind, [...values.flat(), ...(expected ?? [])]);
  const hasZero = kind === "log" && values.some((row) => row.includes(0));
  const [bottom, top] = [box.height - box.bottom, box.top];
  const floor = box.height - box.bottom / 3;
  // An exact zero has no place on a logarithmic axis: it lies below all that has.
  const y = (value: number): number => {
    if (!Number.isFinite(value)) return value < 0 ? bottom : top;
    const unit = scale.unit(value);
    return Number.isNaN(unit) ? floor : bottom - unit * (bottom - top);
  };
  const across = box.width - box.left - box.right;
  const x = along(depth ? rows.map((_, i) => i) : steps, across, box.left);
  const at = (line: number, point: number): number => (depth ? values[line]?.[point] : values[point]?.[line]) ?? NaN;
  const points = depth ? rows.length : steps.length;
  const count = depth ? steps.length : rows.length;
  const main = depth ? count - 1 : 0;
  const broken: Point[] = [];
  const some = evenly(count, MOST_LINES);
  // The main one, which is the first or the last, over the others.
  const lines = (depth ? some : some.reverse()).map((line): PlotLine => {
    const strokes: Point[][] = [[]];
    for (let p = 0; p < points; p++) {
      const value = at(line, p);
      const spot = { x: x(p), y: y(value) };
      if (Number.isFinite(value)) strokes[strokes.length - 1]?.push(spot);
      else {
        strokes.push([]);
        if (!Number.isNaN(value)) broken.push(spot);
      }
    }
    return {
      of: line,
      main: line === main,
      path: strokes
        .filter((s) => s.length > 1)
        .map(pathOf)
        .join(""),
      dots: strokes.filter((s) => s.length === 1).flat(),
    };
  });
  return {
    lines,
    broken,
    expected: expected && expectedOf(expected, depth, x, y, box),
    ticks: ticksOf(scale, bottom, top, hasZero ? floor : null),
  };
}

function expectedOf(
  expected: readonly number[],
  depth: boolean,
  x: (i: number) => number,
  y: (value: number) => number,
  box: Box,
): Plot["expected"] {
  const known = expected.filter(Number.isFinite);
  if (known.length === 0) return null;
  if (depth && known.length > 1) {
    const spots = expected.map((value, i) => ({ x: x(i), y: y(value) })).filter((_, i) => Number.isFinite(expected[i]));
    return { line: pathOf(spots), area: "" };
  }
  const [high, low] = [y(Math.max(...known)), y(Math.min(...known))];
  const middle = (low + high) / 2;
  const half = Math.max(THINNEST_BAND, low - high) / 2;
  const [left, right] = [box.left, box.width - box.right];
  return {
    line: `M${left} ${round(middle)}H${right}`,
    area: `M${left} ${round(middle - half)}H${right}V${round(middle + half)}H${left}Z`,
  };
}

/** Two or three labels, and the one of exactly zero. */
function ticksOf(scale: Scale, bottom: number, top: number, zero: number | null): Plot["ticks"] {
  const all = scale.ticks(3);
  const some = evenly(all.length, 3).flatMap((i) => all[i] ?? []);
  const ticks = some.map(({ at, label }) => ({ y: bottom - at * (bottom - top), label }));
  if (zero === null) return ticks;
  return [{ y: zero, label: "0" }, ...ticks.filter((tick) => zero - tick.y >= LEAST_APART)];
}

/** Indices spread evenly, first and last among them. */
function evenly(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i / (most - 1)) * (count - 1)));
}

function along(places: readonly number[], across: number, left: number): (i: number) => number {
  const [first, last] = [places[0] ?? 0, places[places.length - 1] ?? 0];
  const span = last - first;
  return (i) => left + (span > 0 ? (((places[i] ?? first) - first) / span) * across : across / 2);
}

const round = (n: number): number => Number(n.toFixed(1));

function pathOf(spots: readonly Point[]): string {
  return spots.map((s, i) => `${i === 0 ? "M" : "L"}${round(s.x)} ${round(s.y)}`).join("");
}
