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
 * How a bucket of values becomes one: the largest; the largest magnitude; or the one farthest, as a ratio, from the
 * row's own usual value, so that a peak and a dip both show.
 */
export type Reducer = "max" | "magnitude" | "extreme";

export interface Columns {
  readonly count: number;
  /** Samples `first[c] … last[c] - 1` of column c; none where they are equal. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

export interface Reduced {
  readonly values: Float32Array;
  /** FINITE, MISSING, NONFINITE as in `Series`; NONFINITE if any sample of the column was. */
  readonly state: Uint8Array;
}

export function columnsOf(steps: Float64Array, samples: number, axis: StepAxis, count: number): Columns {
  const first = new Int32Array(count);
  const last = new Int32Array(count);
  let i = 0;
  while (i < samples && axis.unit(steps[i] as number) < 0) i++;
  for (let c = 0; c < count; c++) {
    // The last column takes its right edge too: a range of steps includes the step it ends on.
    const end = c === count - 1 ? 1 + 1e-12 : (c + 1) / count - 1e-12;
    const start = i;
    while (i < samples && axis.unit(steps[i] as number) < end) i++;
    // Nothing new here: the sample before is still in force. Before the first sample there is nothing at all.
    const held = i > start ? start : Math.max(0, i - 1);
    first[c] = held;
    last[c] = i > start ? i : i > 0 ? i : 0;
  }
  return { count, first, last };
}

export function newReduced(count: number): Reduced {
  return { values: new Float32Array(count).fill(Number.NaN), state: new Uint8Array(count).fill(MISSING) };
}

/** One row of a series, reduced over time. */
export function reduceRow(series: Series, row: number, columns: Columns, reducer: Reducer, out: Reduced): void {
  if (row >= series.rows) return;
  const base = row * series.capacity;
  const usual = reducer === "extreme" ? usualOf(series, row) : 1;
  const { values, state } = series;
  for (let c = 0; c < columns.count; c++) {
    let best = Number.NaN;
    let mark = MISSING;
    const end = columns.last[c] as number;
    for (let i = columns.first[c] as number; i < end; i++) {
      const kind = state[base + i] as number;
      if (kind === MISSING) continue;
      if (kind === NONFINITE) mark = NONFINITE;
      else if (mark === MISSING) mark = FINITE;
      const value = values[base + i] as number;
      if (value - value === 0 && stands(value, best, reducer, usual)) best = value;
    }
    out.values[c] = best;
    out.state[c] = mark;
  }
}

/** Folds a child into its group. */
export function mergeChild(out: Reduced, child: Reduced, reducer: Reducer, reference: number): void {
  for (let c = 0; c < out.values.length; c++) {
    const kind = child.state[c] as number;
    if (kind === MISSING) continue;
    if (kind === NONFINITE) out.state[c] = NONFINITE;
    else if (out.state[c] === MISSING) out.state[c] = FINITE;
    const value = child.values[c] as number;
    if (value - value === 0 && worse(value, out.values[c] as number, reducer, reference)) out.values[c] = value;
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
  if (Number.isNaN(best)) return true;
  if (reducer === "max") return value > best;
  if (reducer === "magnitude") return Math.abs(value) > Math.abs(best);
  return badness(value, reference) > badness(best, reference);
}

function badness(value: number, reference: number): number {
  const ratio = Math.abs(value) / reference;
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
  const usual = rows.length === 1 && reducer === "extreme" ? usualOf(series, rows[0] as number) : Number.NaN;
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
