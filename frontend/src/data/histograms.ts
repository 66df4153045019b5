/** Histograms as the server sends them: those of one row over steps, or those of all rows at one step. */
import { EDGES, HALF, INFINITY_BIN, NAN_BIN, orderOf } from "./bins";
import { arrayOf, BrokenPayload, type Container } from "./container";
import type { TreeNode } from "./tree";

export interface Histograms {
  readonly kind: string;
  /** Over steps: the row it is about. Over depth: null. */
  readonly row: string | null;
  /** Over steps: one per histogram. Over depth: the one step, or none without a record. */
  readonly steps: Float64Array;
  readonly list: readonly Histogram[];
}

/** Sparse: `counts[i]` in `bins[i]`, bins rising. Of a group the counts are shares. */
export interface Histogram {
  readonly bins: Uint16Array;
  readonly counts: Uint32Array | Float64Array;
  readonly total: number;
}

export const EMPTY: Histogram = { bins: new Uint16Array(0), counts: new Uint32Array(0), total: 0 };

export function parseHistograms(container: Container): Histograms {
  const { kind, row } = container.header;
  const starts = arrayOf(container, "starts", Uint32Array);
  const bins = arrayOf(container, "bins", Uint16Array);
  const counts = arrayOf(container, "counts", Uint32Array);
  const list: Histogram[] = [];
  for (let i = 0; i + 1 < starts.length; i++) {
    const [from, to] = [starts[i] as number, starts[i + 1] as number];
    if (to < from || to > bins.length || to > counts.length) throw new BrokenPayload("histograms do not add up");
    const own = counts.subarray(from, to);
    list.push({ bins: bins.subarray(from, to), counts: own, total: own.reduce((a, b) => a + b, 0) });
  }
  const steps = arrayOf(container, "steps", Float64Array);
  return { kind: String(kind ?? ""), row: typeof row === "string" ? row : null, steps, list };
}

/** What a histogram says at a glance. */
export interface Summary {
  readonly total: number;
  /** With the zeros. */
  readonly finite: number;
  readonly zero: number;
  readonly infinite: number;
  readonly nan: number;
  /** Percentiles of the magnitude of what is finite and not zero; NaN where nothing is. */
  readonly p1: number;
  readonly p50: number;
  readonly p99: number;
  /** Smallest and largest magnitude bin in use, of those that are finite and not zero; `low > high`: none. */
  readonly low: number;
  readonly high: number;
  readonly negative: boolean;
  readonly positive: boolean;
}

const known = new WeakMap<Histogram, Summary>();
const magnitudes = new Float64Array(HALF);

/** Made once for each histogram. */
export function summaryOf(histogram: Histogram): Summary {
  let summary = known.get(histogram);
  if (!summary) {
    summary = summarise(histogram);
    known.set(histogram, summary);
  }
  return summary;
}

function summarise({ bins, counts, total }: Histogram): Summary {
  magnitudes.fill(0);
  let [low, high, signs] = [HALF, 0, 0];
  for (let i = 0; i < bins.length; i++) {
    const bin = bins[i] as number;
    const m = bin & (HALF - 1);
    magnitudes[m] = (magnitudes[m] as number) + (counts[i] as number);
    if (m === 0 || m >= INFINITY_BIN) continue;
    if (m < low) low = m;
    if (m > high) high = m;
    signs |= bin < HALF ? 1 : 2;
  }
  const [zero, infinite, nan] = [magnitudes[0], magnitudes[INFINITY_BIN], magnitudes[NAN_BIN]] as [
    number,
    number,
    number,
  ];
  const size = total - zero - infinite - nan;
  return {
    total,
    finite: total - infinite - nan,
    zero,
    infinite,
    nan,
    p1: percentile(0.01, size, low, high),
    p50: percentile(0.5, size, low, high),
    p99: percentile(0.99, size, low, high),
    low,
    high,
    negative: (signs & 2) > 0,
    positive: (signs & 1) > 0,
  };
}

/** Of what lies in `magnitudes`; within a bin values are taken as evenly spread over its logarithm. */
function percentile(share: number, size: number, low: number, high: number): number {
  if (low > high) return Number.NaN;
  let left = share * size;
  for (let m = low; m <= high; m++) {
    const count = magnitudes[m] as number;
    if (count > 0 && left <= count) {
      const near = EDGES[m] as number;
      return near * ((EDGES[m + 1] as number) / near) ** (left / count);
    }
    left -= count;
  }
  return EDGES[high + 1] as number;
}

/** Share of the finite values in bins up to this one in the order of values. */
export function shareUpTo({ bins, counts }: Histogram, order: number): number {
  let [below, finite] = [0, 0];
  for (let i = 0; i < bins.length; i++) {
    const bin = bins[i] as number;
    if ((bin & (HALF - 1)) >= INFINITY_BIN) continue;
    finite += counts[i] as number;
    if (orderOf(bin) <= order) below += counts[i] as number;
  }
  return finite > 0 ? below / finite : Number.NaN;
}

/** How many values lie in a bin of the order of values; 0 has both zeros. */
export function countIn({ bins, counts }: Histogram, order: number): number {
  let found = 0;
  for (let i = 0; i < bins.length; i++) if (orderOf(bins[i] as number) === order) found += counts[i] as number;
  return found;
}

/** Several as one, each with the same weight however many values it has. What is empty does not count. */
export function meanOf(histograms: readonly Histogram[]): Histogram {
  const measured = histograms.filter((h) => h.total > 0);
  const [only] = measured;
  if (!only || measured.length === 1) return only ?? EMPTY;
  const sums = new Map<number, number>();
  for (const { bins, counts, total } of measured) {
    bins.forEach((bin, i) => {
      sums.set(bin, (sums.get(bin) ?? 0) + (counts[i] as number) / total / measured.length);
    });
  }
  const bins = Uint16Array.from(sums.keys()).sort();
  return { bins, counts: Float64Array.from(bins, (bin) => sums.get(bin) ?? 0), total: 1 };
}

const means = new WeakMap<Histograms, Map<string, Histogram>>();

/** The histogram of a row of the tree, of a group the mean of its members; made once for each record. */
export function histogramOf(data: Histograms, node: Pick<TreeNode, "key" | "rows">): Histogram {
  let known = means.get(data);
  if (!known) {
    known = new Map();
    means.set(data, known);
  }
  const found = known.get(node.key) ?? meanOf(membersOf(data, node.rows));
  known.set(node.key, found);
  return found;
}

export const membersOf = (data: Histograms, rows: readonly number[]): Histogram[] =>
  rows.flatMap((row) => data.list[row] ?? []);
