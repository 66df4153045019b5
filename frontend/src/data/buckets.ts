/**
 * Many samples into few pixels without losing what matters.
 *
 * A column is the samples whose steps fall on it, or, where none does, the sample still in force. Each column keeps
 * one *real* value of each row, chosen by the reducer that fits the statistic, and whether any sample in it was not
 * finite: that mark survives any reduction, in a column and from children to their group.
 */
import type { StepAxis } from "../base/step_axis";
import { FINITE, MISSING, NONFINITE, type Series } from "./series";

/** How a bucket of values becomes one: the largest, the one farthest (as a ratio) from `reference`, or from zero. */
export type Reducer = "max" | "extreme" | "magnitude";

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

/** Folds one row of a series into `out`; called once for a layer, once per child for a group. */
export function reduceRow(
  series: Series,
  row: number,
  columns: Columns,
  reducer: Reducer,
  reference: number,
  out: Reduced,
): void {
  if (row >= series.rows) return;
  const base = row * series.capacity;
  const { values, state } = series;
  for (let c = 0; c < columns.count; c++) {
    let best = out.values[c] as number;
    let mark = out.state[c] as number;
    const end = columns.last[c] as number;
    for (let i = columns.first[c] as number; i < end; i++) {
      const kind = state[base + i] as number;
      if (kind === MISSING) continue;
      if (kind === NONFINITE) mark = NONFINITE;
      else if (mark === MISSING) mark = FINITE;
      const value = values[base + i] as number;
      if (value - value === 0 && worse(value, best, reducer, reference)) best = value;
    }
    out.values[c] = best;
    out.state[c] = mark;
  }
}

/** Whether `value` should stand for a bucket rather than `best` (NaN: nothing yet). */
export function worse(value: number, best: number, reducer: Reducer, reference: number): boolean {
  if (best !== best) return true;
  if (reducer === "max") return value > best;
  if (reducer === "magnitude") return Math.abs(value) > Math.abs(best);
  return ratio(value, reference) > ratio(best, reference);
}

/** Distance on a logarithmic scale, without logarithms; zero is infinitely far. */
function ratio(value: number, reference: number): number {
  const size = Math.abs(value);
  return size >= reference ? size / reference : reference / size;
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
  for (let i = columns.first[column] ?? 0; i < end; i++) {
    for (const row of rows) {
      const at = row * series.capacity + i;
      if (series.state[at] === NONFINITE) return i;
      const value = series.values[at] as number;
      if (value - value === 0 && worse(value, best, reducer, reference)) {
        best = value;
        shown = i;
      }
    }
  }
  return shown;
}
