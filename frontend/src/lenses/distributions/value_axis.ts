/**
 * Where values lie across the picture: magnitudes to the right, negative ones mirrored to the left. Logarithmic, there
 * is a gap between with a place for zero; linear, there is none. Heights are densities, so that an area is a share.
 */
import { formatValue, powerOfTen } from "../../base/format";
import { clamp, type Tick } from "../../base/scales";
import { EDGES, HALF, INFINITY_BIN, magnitudeBin } from "../../data/bins";
import { type Histogram, summaryOf } from "../../data/histograms";

export interface ValueAxis {
  readonly kind: "log" | "linear";
  readonly width: number;
  /** Place of a value; beyond the ends for what is beyond them. */
  x(value: number): number;
  /** Bin, in the order of values, at a place. */
  orderAt(x: number): number;
  /** First and last bin, in the order of values. */
  readonly first: number;
  readonly last: number;
  /** Smallest magnitude bin in use. */
  readonly smallest: number;
  /** Where zero is drawn, as a bar of its own. */
  readonly zero: readonly [number, number];
  readonly ticks: readonly Tick[];
  /** Finite values but zero: blocks from `x[2i]` to `x[2i + 1]`, high as shares of all values per pixel of width. */
  outline(histogram: Histogram): Outline;
}

export interface Outline {
  readonly x: Float64Array;
  readonly density: Float64Array;
}

/** Pixels. On a linear axis most bins are far narrower, and drawn together. */
const LEAST_BLOCK = 6;
/** Least octaves in the gap at zero, and its share of the whole. */
const GAP = 2;
const GAP_SHARE = 0.05;

/** Magnitudes in use; what is not finite or zero needs no axis. */
export interface Reach {
  readonly low: number;
  readonly high: number;
  readonly negative: boolean;
  readonly positive: boolean;
}

export function reachOf(histograms: readonly Histogram[]): Reach {
  const summaries = histograms.map(summaryOf).filter((s) => s.low <= s.high);
  const none = summaries.length === 0;
  return {
    low: none ? magnitudeBin(1e-3) : summaries.reduce((a, s) => Math.min(a, s.low), HALF),
    high: none ? magnitudeBin(1) : summaries.reduce((a, s) => Math.max(a, s.high), 0),
    negative: none || summaries.some((s) => s.negative),
    positive: none || summaries.some((s) => s.positive),
  };
}

export function valueAxis(kind: "log" | "linear", reach: Reach, width: number): ValueAxis {
  const { low, high, negative, positive } = reach;
  const log = kind === "log";
  const signs = [...(negative ? [-1] : []), ...(positive ? [1] : [])];
  const edge = (m: number): number => (log ? Math.log2(EDGES[m] as number) : (EDGES[m] as number));
  // Of one side, from the gap to the end.
  const from = log ? edge(low) : 0;
  const side = edge(high + 1) - from;
  const gap = log ? Math.max(GAP, signs.length * side * GAP_SHARE) : 0;
  const pixels = width / (signs.length * side + gap);
  const left = negative ? side * pixels : 0;
  const right = left + gap * pixels;
  const x = (value: number): number => {
    if (value === 0) return (left + right) / 2;
    const size = Math.abs(value);
    const away = ((log ? Math.log2(size) : size) - from) * pixels;
    return value > 0 ? right + away : left - away;
  };
  // Wide enough to be seen, and not cut in half at the end of the axis.
  const half = Math.max(gap * pixels, LEAST_BLOCK) / 2;
  const middle = clamp(x(0), half, width - half);
  // Of each bin the first one of its block.
  const blocks = new Uint16Array(HALF);
  for (let [m, start] = [low, low]; m <= high; m++) {
    blocks[m] = start;
    if (log || (edge(m + 1) - edge(start)) * pixels >= LEAST_BLOCK) start = m + 1;
  }
  return {
    kind,
    width,
    x,
    orderAt: (at) => {
      if (Math.abs(at - middle) <= half) return 0;
      const away = (at < middle ? left - at : at - right) / pixels + from;
      const m = clamp(magnitudeBin(log ? 2 ** away : away), low, high);
      return at < middle ? -m : m;
    },
    first: negative ? -high : 0,
    last: positive ? high : 0,
    smallest: low,
    zero: [middle - half, middle + half],
    ticks: ticksOf(log, from, side, pixels, signs, x),
    outline: ({ bins, counts, total }) => {
      // By the first bin of a block, in the order of values.
      const masses = new Map<number, number>();
      bins.forEach((bin, i) => {
        const m = bin & (HALF - 1);
        if (m === 0 || m >= INFINITY_BIN) return;
        const start = (blocks[m] as number) * (bin < HALF ? 1 : -1);
        masses.set(start, (masses.get(start) ?? 0) + (counts[i] as number));
      });
      const starts = [...masses.keys()].sort((a, b) => a - b);
      const places = new Float64Array(2 * starts.length);
      const density = Float64Array.from(starts, (start, i) => {
        const first = Math.abs(start);
        let end = first + 1;
        while (blocks[end] === first) end++;
        const ends = [x(Math.sign(start) * (EDGES[first] as number)), x(Math.sign(start) * (EDGES[end] as number))];
        places.set(
          ends.sort((a, b) => a - b),
          2 * i,
        );
        return (masses.get(start) as number) / (total || 1) / ((ends[1] as number) - (ends[0] as number));
      });
      return { x: places, density };
    },
  };
}

/** Room for a label, in pixels. */
const LOG_ROOM = 44;
const LINEAR_ROOM = 72;

function ticksOf(
  log: boolean,
  from: number,
  side: number,
  pixels: number,
  signs: readonly number[],
  x: (value: number) => number,
): Tick[] {
  const unit = log ? Math.log2(10) : 1;
  const stride = round(log ? Math.max(1, LOG_ROOM / unit / pixels) : LINEAR_ROOM / pixels);
  const ticks: Tick[] = [{ at: x(0), label: "0" }];
  for (let k = Math.ceil(from / unit / stride); (k * stride * unit - from - side) * pixels < 0.01; k++) {
    const at = Number((k * stride).toPrecision(12));
    for (const sign of signs) {
      const tick = {
        at: x(sign * (log ? 10 ** at : at)),
        label: (sign < 0 ? "−" : "") + (log ? powerOfTen : formatValue)(at),
      };
      // What would touch the zero has no room.
      if (Math.abs(tick.at - x(0)) > 24) ticks.push(tick);
    }
  }
  return ticks;
}

/** The next of 1, 2, 5, 10, 20 … */
function round(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5].find((m) => m * power >= least) ?? 10) * power;
}
