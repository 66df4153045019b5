/** From a series to its colour scale: bounds that hold for the whole run, so that zooming never changes a colour. */
import { logScale, type Scale, shareScale, signedScale } from "../base/scales";
import type { Series } from "./series";
import type { Statistic } from "./statistics";

export interface Domain {
  readonly scale: Scale;
  /** What counts as healthy: the usual magnitude where the signal enters. Children of a group are judged by it. */
  readonly reference: number;
  /** Some values lie outside the colours' bounds. */
  readonly clipped: boolean;
  readonly hasZero: boolean;
  readonly hasMissing: boolean;
  readonly hasNonFinite: boolean;
  /** No finite number anywhere. */
  readonly empty: boolean;
}

const MOST_DECADES = 14;
const SAMPLES = 10_000;

export function domainOf(series: Series, statistic: Statistic): Domain {
  const kind = statistic.scale;
  const { low, high, zeros, finite, nonFinite, missing } = series.extent;
  const sample = someOf(series);
  sample.sort((a, b) => a - b);
  const reference = anchorOf(series, statistic.anchor) ?? sample[sample.length >> 1] ?? 1;
  const flags = {
    hasZero: zeros > 0,
    hasMissing: missing > 0,
    hasNonFinite: nonFinite > 0,
    empty: finite === 0,
    reference,
  };
  if (kind === "share") return { scale: shareScale(roundShare(high)), clipped: false, ...flags };
  if (kind === "signed") return { scale: signedScale(high > 0 ? high : 1), clipped: false, ...flags };
  if (high === 0) return { scale: logScale(0.1, 10), clipped: false, ...flags };
  return { ...logDomain(low, high, sample), ...flags };
}

/** Magnitudes spread evenly over the data: enough for a median and the bulk. */
function someOf({ rows, capacity, count, values }: Series): number[] {
  const stride = Math.max(1, Math.floor((rows * count) / SAMPLES));
  const sample: number[] = [];
  for (let k = 0; k < rows * count; k += stride) {
    const size = Math.abs(values[Math.floor(k / count) * capacity + (k % count)] as number);
    if (size > 0 && size - size === 0) sample.push(size);
  }
  return sample;
}

/** Usual magnitude in the outermost tenth of the rows on the side a signal comes from; null where there is none. */
function anchorOf(series: Series, side: "first" | "last" | null): number | null {
  const { rows, capacity, count, values } = series;
  if (side === null) return null;
  const wanted = Math.max(1, Math.ceil(rows / 10));
  const stride = Math.max(1, Math.floor(count / 200));
  const sample: number[] = [];
  for (let taken = 0, k = 0; k < rows && taken < wanted; k++) {
    const base = (side === "first" ? k : rows - 1 - k) * capacity;
    const before = sample.length;
    for (let i = 0; i < count; i += stride) {
      const size = Math.abs(values[base + i] as number);
      if (size > 0 && size - size === 0) sample.push(size);
    }
    if (sample.length > before) taken++;
  }
  sample.sort((a, b) => a - b);
  return sample[sample.length >> 1] ?? null;
}

function logDomain(low: number, high: number, sorted: readonly number[]): { scale: Scale; clipped: boolean } {
  let [from, to] = [Math.log10(low), Math.log10(high)];
  const clipped = to - from > MOST_DECADES;
  if (clipped) {
    // One step at 1e30 must not paint all others the same: the colours follow the bulk, the ends are marked.
    const at = (share: number) => Math.log10(sorted[Math.floor(share * (sorted.length - 1))] ?? 1);
    from = Math.max(from, at(0.02) - 2);
    to = Math.min(to, Math.max(from + 2, at(0.98) + 2));
  }
  if (to - from > 3) [from, to] = [Math.floor(from + 0.1), Math.ceil(to - 0.1)];
  else if (to - from < 1) {
    const middle = (from + to) / 2;
    [from, to] = [middle - 0.5, middle + 0.5];
  }
  return { scale: logScale(10 ** from, 10 ** to), clipped };
}

export function roundShare(high: number): number {
  for (const round of [0.001, 0.01, 0.05, 0.1, 0.25, 0.5]) if (high > 0 && high <= round) return round;
  return 1;
}
