/**
 * Many samples into few pixels without losing what matters.
 *
 * A column is the samples whose steps fall on it, or, where none does, the sample still in force. Each column keeps
 * one *real* value of each row, chosen by the reducer that fits the statistic, and whether any sample in it was not
 * finite: that mark survives any reduction, in a column and from children to their group.
 */
import type { StepAxis } from "../base/step_axis";
import { FINITE, MISSING, NONFINITE, type Series } from "./series";

/**
 * How a bucket of values becomes one: the largest; the largest magnitude; the one farthest, as a ratio, from the row's
 * own usual value, so that a peak and a dip both show; or, of ratios, the one farthest from 1.
 */
export type Reducer = "max" | "magnitude" | "extreme" | "ratio";

export interface Columns {
  readonly count: number;
  /** Samples `first[c] … last[c] - 1` of column c; none where they are equal. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

export interface Reduced {
  /** The value a column shows; NaN for none. */
  readonly values: Float32Array;
  /** Smallest and largest finite value of the column, whatever it shows; NaN for none. */
  readonly low: Float32Array;
  readonly high: Float32Array;
  /** FINITE, MISSING, NONFINITE as in `Series`; NONFINITE if any sample of the column was. */
  readonly state: Uint8Array;
}

/** `end`: the step at which the last sample stops standing for what follows. */
export function columnsOf(
  steps: Float64Array,
  samples: number,
  axis: StepAxis,
  count: number,
  end = Number.POSITIVE_INFINITY,
): Columns {
  const first = new Int32Array(count);
  const last = new Int32Array(count);
  let i = 0;
  while (i < samples && axis.unit(steps[i] as number) < 0) i++;
  const over = axis.unit(end) - 1e-12;
  for (let c = 0; c < count; c++) {
    // The last column takes its right edge too: a range of steps includes the step it ends on.
    const right = c === count - 1 ? 1 + 1e-12 : (c + 1) / count - 1e-12;
    const start = i;
    while (i < samples && axis.unit(steps[i] as number) < right) i++;
    if (i === start && c / count >= over) continue;
    // Nothing new here: the sample before is still in force. Before the first sample there is nothing at all.
    const held = i > start ? start : Math.max(0, i - 1);
    first[c] = held;
    last[c] = i > start ? i : i > 0 ? i : 0;
  }
  return { count, first, last };
}

/** Room for `count` columns; `reduceRow` fills all of it. */
export function newReduced(count: number): Reduced {
  return {
    values: new Float32Array(count),
    low: new Float32Array(count),
    high: new Float32Array(count),
    state: new Uint8Array(count),
  };
}

export function emptyReduced(count: number): Reduced {
  const out = newReduced(count);
  for (const part of [out.values, out.low, out.high]) part.fill(Number.NaN);
  out.state.fill(MISSING);
  return out;
}

/** One row that a series has, reduced over time. The one loop that touches every number: kept flat. */
export function reduceRow(series: Series, row: number, columns: Columns, reducer: Reducer, out: Reduced): void {
  const base = row * series.capacity;
  const { NaN: none } = Number;
  const usual = reducer === "extreme" ? usualOf(series, row) : 1;
  const { values, state } = series;
  const { first, last, count } = columns;
  for (let c = 0; c < count; c++) {
    const end = base + (last[c] as number);
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    let mark = MISSING;
    for (let i = base + (first[c] as number); i < end; i++) {
      const kind = state[i] as number;
      if (kind === MISSING) continue;
      if (kind === NONFINITE) mark = NONFINITE;
      else if (mark === MISSING) mark = FINITE;
      const value = values[i] as number;
      if (value - value !== 0) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    out.state[c] = mark;
    if (low > high) {
      out.values[c] = out.low[c] = out.high[c] = none;
      continue;
    }
    out.low[c] = low;
    out.high[c] = high;
    // Whatever the reducer, the value that stands for a bucket is its smallest or its largest.
    out.values[c] = reducer === "max" || stands(high, low, reducer, usual) ? high : low;
  }
}

/** Folds a child into its group. */
export function mergeChild(out: Reduced, child: Reduced, reducer: Reducer, reference: number): void {
  const count = out.values.length;
  const inverse = 1 / reference;
  for (let c = 0; c < count; c++) {
    const kind = child.state[c] as number;
    if (kind === MISSING) continue;
    if (kind === NONFINITE) out.state[c] = NONFINITE;
    else if (out.state[c] === MISSING) out.state[c] = FINITE;
    const value = child.values[c] as number;
    if (value - value !== 0) continue;
    const best = out.values[c] as number;
    if (best - best !== 0) {
      out.values[c] = value;
      out.low[c] = child.low[c] as number;
      out.high[c] = child.high[c] as number;
      continue;
    }
    if (isWorse(value, best, reducer, inverse)) out.values[c] = value;
    if ((child.low[c] as number) < (out.low[c] as number)) out.low[c] = child.low[c] as number;
    if ((child.high[c] as number) > (out.high[c] as number)) out.high[c] = child.high[c] as number;
  }
}

/** Whether `value` should stand for a row's bucket rather than `best` (NaN: nothing yet). */
function stands(value: number, best: number, reducer: Reducer, usual: number): boolean {
  if (Number.isNaN(best)) return true;
  if (reducer === "max") return value > best;
  if (reducer === "magnitude") return Math.abs(value) > Math.abs(best);
  return distance(value, usual) > distance(best, usual);
}

/** Distance on a logarithmic scale, without logarithms; zero is infinitely far. */
function distance(value: number, usual: number): number {
  const size = Math.abs(value);
  return size >= usual ? size / usual : usual / size;
}

/** Median of a few values spread over the row: enough to know a peak from a dip. */
function usualOf(series: Series, row: number): number {
  const some: number[] = [];
  const stride = Math.max(1, Math.floor(series.count / 31));
  for (let i = 0; i < series.count; i += stride) {
    const size = Math.abs(series.values[row * series.capacity + i] as number);
    if (size > 0 && size - size === 0) some.push(size);
  }
  some.sort((a, b) => a - b);
  return some[some.length >> 1] ?? 1;
}

/** Above so many times the usual, a value is called an explosion and not a healthy neighbour. */
const EXPLOSION = 100;

/**
 * Whether `value` is the worse of two children. On a two-sided statistic the smaller one is, as long as nothing is far
 * above the usual: a rule by distance alone would jump between a group's strongest and weakest child.
 */
export function worse(value: number, best: number, reducer: Reducer, reference: number): boolean {
  return Number.isNaN(best) || isWorse(value, best, reducer, 1 / reference);
}

function isWorse(value: number, best: number, reducer: Reducer, inverse: number): boolean {
  if (reducer === "max") return value > best;
  if (reducer === "magnitude") return Math.abs(value) > Math.abs(best);
  if (reducer === "ratio") return distance(value, 1) > distance(best, 1);
  return badness(Math.abs(value) * inverse) > badness(Math.abs(best) * inverse);
}

function badness(ratio: number): number {
  return ratio >= EXPLOSION ? ratio : 1 / ratio;
}

/** The sample of a column whose value the column shows: a cursor on a peak reads the peak, not its neighbour. */
export function shownSample(
  series: Series,
  rows: readonly number[],
  columns: Columns,
  column: number,
  reducer: Reducer,
  reference: number,
): number {
  const end = columns.last[column] ?? 0;
  let shown = end - 1;
  let best = Number.NaN;
  const usual = rows.length === 1 && reducer === "extreme" ? usualOf(series, rows[0] as number) : 1;
  for (let i = columns.first[column] ?? 0; i < end; i++) {
    for (const row of rows) {
      const at = row * series.capacity + i;
      if (series.state[at] === NONFINITE) return i;
      const value = series.values[at] as number;
      if (value - value !== 0) continue;
      if (rows.length === 1 ? stands(value, best, reducer, usual) : worse(value, best, reducer, reference)) {
        best = value;
        shown = i;
      }
    }
  }
  return shown;
}
