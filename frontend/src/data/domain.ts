/** From a series to its colour scale: bounds that hold for the whole run, so that zooming never changes a colour. */
import { logScale, pointsScale, ratioScale, type Scale, shareScale, signedScale } from "../base/scales";
import type { Series } from "./series";
import type { ScaleKind, Statistic } from "./statistics";

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
/** Something against nothing: no number to scale by. */
const INFINITE = 3e38;

/** `beside`: others whose values count as well; `series.extent` is then that of all. */
export function domainOf(series: Series, statistic: Statistic, ...beside: Series[]): Domain {
  const kind = statistic.scale;
  const { low, high, zeros, finite, nonFinite, missing } = series.extent;
  const sample = Float64Array.from([series, ...beside].flatMap(someOf)).sort();
  const reference = anchorOf(series, statistic.anchor) ?? sample[sample.length >> 1] ?? 1;
  const flags = {
    hasZero: zeros > 0,
    hasMissing: missing > 0,
    hasNonFinite: nonFinite > 0,
    empty: finite === 0,
    reference,
  };
  if (kind === "ratio") return { ...ratioDomain(low, high, sample), ...flags };
  if (kind === "log" && high > 0) return { ...logDomain(low, high, sample), ...flags };
  return { scale: lineScale(kind, [high]), clipped: false, ...flags };
}

/** The heights of a few lines: what fits all their values. */
export function lineScale(kind: ScaleKind, values: readonly number[]): Scale {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const value of values) {
    const size = Math.abs(value);
    if (!Number.isFinite(size) || size === 0) continue;
    if (size < low) low = size;
    if (size > high) high = size;
  }
  if (kind === "share") return shareScale(roundShare(high));
  if (kind === "points") return pointsScale(roundShare(high));
  if (kind === "signed") return signedScale(high || 1);
  if (high === 0) return logScale(0.1, 10);
  // Within a decade noise would look like a catastrophe.
  const widen = 10 ** (Math.max(0, 1 - Math.log10(high / low)) / 2);
  return logScale(low / widen, high * widen);
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
  return Float64Array.from(sample).sort()[sample.length >> 1] ?? null;
}

function logDomain(low: number, high: number, sorted: Float64Array): { scale: Scale; clipped: boolean } {
  let [from, to] = [Math.log10(low), Math.log10(high)];
  const clipped = to - from > MOST_DECADES;
  if (clipped) {
    // One step at 1e30 must not paint all others the same: the colours follow the bulk, the ends are marked.
    const at = (share: number) => Math.log10(sorted[Math.floor(share * (sorted.length - 1))] ?? 1);
    from = Math.max(from, at(0.02) - 2);
    to = Math.min(to, Math.max(from + 2, at(0.98) + 2));
  }
  if (to - from > 3) [from, to] = [Math.floor(from + 0.1), Math.ceil(to - 0.1)];
  else if (to - from < 1) return { scale: lineScale("log", [low, high]), clipped };
  return { scale: logScale(10 ** from, 10 ** to), clipped };
}

/** Symmetric around 1, wide enough for the bulk: one odd step must not pale all others. */
function ratioDomain(low: number, high: number, sorted: Float64Array): { scale: Scale; clipped: boolean } {
  const finite = sorted.filter((ratio) => ratio < INFINITE);
  const at = (share: number) => finite[Math.round(share * (finite.length - 1))] ?? 1;
  const bulk = Math.max(at(0.995), 1 / at(0.005)) * (1 - 1e-6);
  const bound = [2, 5, 10].find((round) => bulk <= round) ?? 10 ** Math.ceil(Math.log10(bulk));
  return { scale: ratioScale(bound), clipped: low < 1 / bound || high > bound };
}

function roundShare(high: number): number {
  return [0.001, 0.01, 0.05, 0.1, 0.25, 0.5].find((round) => high > 0 && high <= round) ?? 1;
}
