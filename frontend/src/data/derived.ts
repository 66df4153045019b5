/**
 * Series made of others: a row relative to its own median, one run against another. They have the form of any series,
 * so pictures, tables and files take them as they are.
 */
import { recent } from "../base/recent";
import { type Domain, domainOf } from "./domain";
import { rowMedians } from "./median";
import { FINITE, MISSING, NONFINITE, type Series, sampleInForce } from "./series";
import type { LoadedSeries } from "./statistic_cache";
import type { ScaleKind, Statistic } from "./statistics";

/** Beyond this a ratio is called infinite: something against nothing. */
export const MOST_RATIO = 3.4028234663852886e38;

/** Whether a row can be compared with its own median: a number with a sign has no ratio. */
export const hasRelative = (statistic: Statistic): boolean => statistic.scale !== "signed";

export function relativeStatistic(statistic: Statistic): Statistic {
  return {
    ...statistic,
    label: `${statistic.label} to own median`,
    scale: "ratio",
    reducer: "ratio",
    anchor: null,
    read: "Blue is below the row's own median over the run, orange above; a change of colour along a row is a drift",
  };
}

/** The first run divided by the second; shares and numbers with a sign are subtracted. */
export function differenceStatistic(statistic: Statistic): Statistic {
  const divided = statistic.scale === "log";
  return {
    ...statistic,
    label: `${statistic.label}, ${divided ? "A ÷ B" : "A − B"}`,
    scale: divided ? "ratio" : statistic.scale === "share" ? "points" : "signed",
    reducer: divided ? "ratio" : "magnitude",
    anchor: null,
    read: "Blue is where the first run, A, lies below the second, B, at the same step, orange where above",
  };
}

/** Each takes as much memory as what it is made of; two runs and the statistic before are kept. */
const relatives = recent<LoadedSeries>(3);
const differences = recent<LoadedSeries>(2);
const orders = recent<Series>(2);
const domains = recent<Domain>(4);

export function relative({ series }: LoadedSeries, statistic: Statistic): LoadedSeries {
  return relatives([series], () => {
    const medians = rowMedians(series);
    const { rows, capacity, count } = series;
    const values = new Float32Array(series.values.length);
    let [low, high] = [Number.POSITIVE_INFINITY, 0];
    for (let r = 0; r < rows; r++) {
      const usual = medians[r] as number;
      // Without a median all there is is zero, and stays so.
      const inverse = usual > 0 ? 1 / usual : 1;
      for (let i = r * capacity, end = i + count; i < end; i++) {
        const value = series.values[i] as number;
        let ratio = value * inverse;
        if (value - value === 0) {
          if (ratio > MOST_RATIO) ratio = MOST_RATIO;
          if (ratio > high) high = ratio;
          if (ratio > 0 && ratio < low) low = ratio;
        }
        values[i] = ratio;
      }
    }
    return loadedOf({ ...series, values, extent: { ...series.extent, low, high } }, relativeStatistic(statistic));
  });
}

/** `b` has the rows of `a`. Steps are those of `a`; where `b` has no sample in force there is nothing measured. */
export function difference(a: Series, b: Series, statistic: Statistic): LoadedSeries {
  return differences([a, b], () => {
    const rows = Math.max(a.rows, b.rows);
    const { capacity, count, steps } = a;
    const values = new Float32Array(rows * capacity).fill(Number.NaN);
    const state = new Uint8Array(rows * capacity).fill(MISSING);
    const at = Int32Array.from({ length: count }, (_, i) => sampleInForce(b, steps[i] as number));
    const { scale } = statistic;
    let [low, high, zeros, finite, nonFinite] = [Number.POSITIVE_INFINITY, 0, 0, 0, 0];
    for (let r = 0; r < Math.min(a.rows, b.rows); r++) {
      const base = r * capacity;
      for (let i = 0; i < count; i++) {
        const k = at[i] as number;
        if (k < 0) continue;
        const other = r * b.capacity + k;
        const mark = together(a.state[base + i] as number, b.state[other] as number);
        if (mark === MISSING) continue;
        state[base + i] = mark;
        if (mark === NONFINITE) nonFinite++;
        const value = differ(scale, a.values[base + i] as number, b.values[other] as number);
        values[base + i] = value;
        const size = value < 0 ? -value : value;
        if (size - size !== 0) continue;
        finite++;
        if (size > high) high = size;
        if (size === 0) zeros++;
        else if (size < low) low = size;
      }
    }
    const missing = rows * count - finite - nonFinite;
    const extent = { low, high, zeros, finite, nonFinite, missing };
    return loadedOf({ ...a, rows, values, state, extent }, differenceStatistic(statistic));
  });
}

const loadedOf = (series: Series, statistic: Statistic): LoadedSeries => ({
  series,
  domain: domainOf(series, statistic),
});

/** Of two numbers with the scale of what they measure; NaN unless both are finite. */
export function differ(scale: ScaleKind, a: number, b: number): number {
  if (scale !== "log") return a - b;
  if (a - a !== 0 || b - b !== 0) return Number.NaN;
  if (a === b) return 1;
  return Math.min(a / b, MOST_RATIO);
}

/** The state of a comparison of two cells. */
export function together(a: number, b: number): number {
  if (a === MISSING || b === MISSING) return MISSING;
  return a === NONFINITE || b === NONFINITE ? NONFINITE : FINITE;
}

/** The series with row `rows[r]` as its row r, -1 for none; the very same one if that changes nothing. */
export function inRows(series: Series, rows: Int32Array): Series {
  const same = rows.length >= series.rows && rows.every((from, to) => from === to || (from < 0 && to >= series.rows));
  return same ? series : orders([series, rows], () => moved(series, rows));
}

function moved(series: Series, rows: Int32Array): Series {
  const { capacity, count } = series;
  const values = new Float32Array(rows.length * capacity).fill(Number.NaN);
  const state = new Uint8Array(rows.length * capacity).fill(MISSING);
  rows.forEach((from, to) => {
    if (from < 0 || from >= series.rows) return;
    values.set(series.values.subarray(from * capacity, from * capacity + count), to * capacity);
    state.set(series.state.subarray(from * capacity, from * capacity + count), to * capacity);
  });
  return { ...series, rows: rows.length, values, state };
}

/** One scale for both, so that a colour means the same in either. */
export function sharedDomain(a: Series, b: Series, statistic: Statistic): Domain {
  return domains([a, b], () => {
    const [x, y] = [a.extent, b.extent];
    const extent = {
      low: Math.min(x.low, y.low),
      high: Math.max(x.high, y.high),
      zeros: x.zeros + y.zeros,
      finite: x.finite + y.finite,
      nonFinite: x.nonFinite + y.nonFinite,
      missing: x.missing + y.missing,
    };
    return domainOf({ ...a, extent }, statistic, b);
  });
}
