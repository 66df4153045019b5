/**
 * A piece of evidence as lines in a box. Many rows in the order of depth are drawn over the depth, a line per step;
 * otherwise over the steps, a line per row. Few lines, few points: what fits the pixels.
 */
import { logScale, type Scale, shareScale, signedScale, type Tick } from "../../base/scales";
import type { Evidence } from "../../data/diagnosis";
import { roundShare } from "../../data/domain";
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
  readonly over: "steps" | "depth";
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
  const scale = scaleOf(evidence);
  const [bottom, top] = [box.height - box.bottom, box.top];
  const floor = box.height - box.bottom / 3;
  // An exact zero has no place on a logarithmic axis: it lies below all that has.
  const y = (value: number): number => {
    if (!Number.isFinite(value)) return value < 0 ? bottom : top;
    const unit = scale.unit(value);
    return Number.isNaN(unit) ? floor : bottom - unit * (bottom - top);
  };
  const across = box.width - box.left - box.right;
  const x = depth ? spread(rows.length, across, box.left) : along(steps, across, box.left);
  const at = (line: number, point: number): number => (depth ? values[line]?.[point] : values[point]?.[line]) ?? NaN;
  const points = depth ? rows.length : steps.length;
  const count = depth ? steps.length : rows.length;
  const main = depth ? count - 1 : 0;
  const broken: Point[] = [];
  const lines = someOf(count, main).map((line): PlotLine => {
    const strokes: Point[][] = [[]];
    for (const p of fitting(points, across, (i) => at(line, i))) {
      const value = at(line, p);
      const spot = { x: x(p), y: y(value) };
      if (Number.isNaN(value)) strokes.push([]);
      else if (Number.isFinite(value)) strokes[strokes.length - 1]?.push(spot);
      else {
        strokes.push([]);
        broken.push(spot);
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
    over: depth ? "depth" : "steps",
    lines: lines.sort((a, b) => Number(a.main) - Number(b.main)),
    broken,
    expected: expected && expectedOf(expected, depth, x, y, box),
    ticks: ticksOf(scale, bottom, top, hasZero(evidence) ? floor : null),
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
  let [high, low] = [y(Math.max(...known)), y(Math.min(...known))];
  if (low - high < THINNEST_BAND) {
    const middle = (low + high) / 2;
    [high, low] = [middle - THINNEST_BAND / 2, middle + THINNEST_BAND / 2];
  }
  const [left, right] = [box.left, box.width - box.right];
  const middle = round((high + low) / 2);
  return {
    line: `M${left} ${middle}H${right}`,
    area: `M${left} ${round(high)}H${right}V${round(low)}H${left}Z`,
  };
}

function scaleOf({ statistic, values, expected }: Evidence): Scale {
  const kind = statisticOf(statistic).scale;
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const value of [...values.flat(), ...(expected ?? [])]) {
    const size = Math.abs(value);
    if (!Number.isFinite(size) || size === 0) continue;
    if (size < low) low = size;
    if (size > high) high = size;
  }
  if (kind === "share") return shareScale(roundShare(high));
  if (kind === "signed") return signedScale(high || 1);
  if (high === 0) return logScale(0.1, 10);
  // Within a decade noise would look like a catastrophe.
  const widen = Math.max(0, 1 - Math.log10(high / low)) / 2;
  return logScale(low * 10 ** -widen, high * 10 ** widen);
}

function hasZero({ statistic, values }: Evidence): boolean {
  return statisticOf(statistic).scale === "log" && values.some((row) => row.includes(0));
}

/** Two or three labels, and the one of exactly zero. */
function ticksOf(scale: Scale, bottom: number, top: number, zero: number | null): Plot["ticks"] {
  const all: readonly (Tick | undefined)[] = scale.ticks(3);
  const some = all.length > 3 ? [all[0], all[all.length >> 1], all[all.length - 1]] : all;
  const ticks = some
    .filter((tick) => tick !== undefined)
    .map((tick) => ({ y: bottom - tick.at * (bottom - top), label: tick.label }));
  if (zero === null) return ticks;
  return [{ y: zero, label: "0" }, ...ticks.filter((tick) => zero - tick.y >= LEAST_APART)];
}

/** Which lines to draw: spread evenly, and the main one always. */
function someOf(count: number, main: number): number[] {
  if (count <= MOST_LINES) return Array.from({ length: count }, (_, i) => i);
  const chosen = Array.from({ length: MOST_LINES }, (_, i) => Math.round((i / (MOST_LINES - 1)) * (count - 1)));
  return [...new Set([...chosen, main])];
}

/** Points to draw: of those that share a pixel the first, the extremes, and what is not finite. */
export function fitting(count: number, pixels: number, value: (i: number) => number): number[] {
  if (count <= 2 * pixels) return Array.from({ length: count }, (_, i) => i);
  const kept: number[] = [];
  for (let p = 0; p < pixels; p++) {
    const from = Math.floor((p / pixels) * count);
    const to = Math.floor(((p + 1) / pixels) * count);
    let [low, high] = [from, from];
    const here = new Set([from, to - 1]);
    for (let i = from; i < to; i++) {
      const v = value(i);
      if (v < value(low) || Number.isNaN(value(low))) low = i;
      if (v > value(high) || Number.isNaN(value(high))) high = i;
    }
    kept.push(...[...here.add(low).add(high)].sort((a, b) => a - b));
  }
  return kept;
}

function along(steps: readonly number[], across: number, left: number): (i: number) => number {
  const [first, last] = [steps[0] ?? 0, steps[steps.length - 1] ?? 0];
  const span = last - first;
  return (i) => left + (span > 0 ? (((steps[i] ?? first) - first) / span) * across : across / 2);
}

function spread(count: number, across: number, left: number): (i: number) => number {
  return (i) => left + (count > 1 ? (i / (count - 1)) * across : across / 2);
}

const round = (n: number): number => Number(n.toFixed(1));

function pathOf(spots: readonly Point[]): string {
  return spots.map((s, i) => `${i === 0 ? "M" : "L"}${round(s.x)} ${round(s.y)}`).join("");
}
