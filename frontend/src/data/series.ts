/**
 * One statistic of one run in memory: all rows, all sampled steps.
 *
 * Layout: row after row, `capacity` values apart, so that reading one row over time runs along memory (the wire has
 * step after step). `state` has the same layout and says what a value is, because NaN alone cannot: *not measured on
 * that step*, or *measured, and not finite*.
 */
import type { Course } from "../base/sparkline";
import { arrayOf, type Container } from "./container";

export const FINITE = 0;
export const MISSING = 1;
export const NONFINITE = 2;

/** Of all that was measured; counted while the numbers are moved anyway. */
export interface Extent {
  /** Smallest magnitude above zero, largest finite one. */
  low: number;
  high: number;
  zeros: number;
  finite: number;
  nonFinite: number;
  missing: number;
}

export interface Series {
  readonly name: string;
  readonly rows: number;
  readonly capacity: number;
  /** Number of steps in use. */
  readonly count: number;
  readonly steps: Float64Array;
  readonly values: Float32Array;
  readonly state: Uint8Array;
  readonly extent: Readonly<Extent>;
}

export function emptySeries(name: string, rows: number): Series {
  return {
    name,
    rows,
    capacity: 0,
    count: 0,
    steps: new Float64Array(0),
    values: new Float32Array(0),
    state: new Uint8Array(0),
    extent: { low: Number.POSITIVE_INFINITY, high: 0, zeros: 0, finite: 0, nonFinite: 0, missing: 0 },
  };
}

/** One row over time; a row that the series has not is NaN throughout. */
export function courseOf({ steps, count, rows, capacity, values }: Series, row: number): Course {
  return { steps, count, at: (i) => (row < rows ? (values[row * capacity + i] ?? Number.NaN) : Number.NaN) };
}

/** The series with the steps of `container` after those it has. Grows by half, so a live run seldom copies. */
export function extend(series: Series, container: Container): Series {
  const steps = arrayOf(container, "steps", Float64Array);
  const values = arrayOf(container, "values", Float32Array);
  const width = container.arrays.get("values")?.shape[1] ?? 0;
  const rows = Math.max(series.rows, width);
  const count = series.count + steps.length;
  const grown = reserve(series, rows, count);
  grown.steps.set(steps, series.count);
  let { low, high, zeros, finite, nonFinite, missing } = series.extent;
  const into = grown.values;
  const { state, capacity } = grown;
  // Blocks keep both the reads (step-major) and the writes (row-major) within the cache.
  const block = 64;
  for (let r0 = 0; r0 < width; r0 += block) {
    const r1 = Math.min(width, r0 + block);
    for (let t = 0; t < steps.length; t++) {
      const source = t * width;
      let target = r0 * capacity + series.count + t;
      for (let r = r0; r < r1; r++, target += capacity) {
        const value = values[source + r] as number;
        into[target] = value;
        if (value - value === 0) {
          state[target] = FINITE;
          finite++;
          const size = value < 0 ? -value : value;
          if (size > high) high = size;
          if (size === 0) zeros++;
          else if (size < low) low = size;
        } else if (Number.isNaN(value)) {
          state[target] = MISSING;
          missing++;
        } else {
          state[target] = NONFINITE;
          nonFinite++;
        }
      }
    }
  }
  return { ...grown, count, extent: { low, high, zeros, finite, nonFinite, missing } };
}

function reserve(series: Series, rows: number, count: number): Series {
  if (rows === series.rows && count <= series.capacity) return series;
  const capacity = count <= series.capacity ? series.capacity : series.capacity === 0 ? count : Math.ceil(count * 1.5);
  const steps = new Float64Array(capacity);
  steps.set(series.steps.subarray(0, series.count));
  const values = new Float32Array(rows * capacity);
  const state = new Uint8Array(rows * capacity);
  // Of a new series every number is about to be set.
  if (series.rows > 0) {
    values.fill(Number.NaN);
    state.fill(MISSING);
  }
  for (let r = 0; r < series.rows; r++) {
    const from = r * series.capacity;
    values.set(series.values.subarray(from, from + series.count), r * capacity);
    state.set(series.state.subarray(from, from + series.count), r * capacity);
  }
  return { ...series, rows, capacity, steps, values, state };
}

/**
 * The series with the marks its `nonfinite_fraction` companion knows of; the very same one if there are none to add.
 * Steps are matched, they need not be the same.
 */
export function markNonFinite(series: Series, companion: Series): Series {
  if (companion.extent.high === 0) return series;
  const rows = Math.min(series.rows, companion.rows);
  const at = new Int32Array(series.count);
  let j = 0;
  for (let i = 0; i < series.count; i++) {
    while (j < companion.count && (companion.steps[j] as number) < (series.steps[i] as number)) j++;
    at[i] = j < companion.count && companion.steps[j] === series.steps[i] ? j : -1;
  }
  let marked = 0;
  let unmeasured = 0;
  for (let r = 0; r < rows; r++) {
    const from = r * series.capacity;
    const other = r * companion.capacity;
    for (let i = 0; i < series.count; i++) {
      const k = at[i] as number;
      if (k < 0 || !((companion.values[other + k] as number) > 0)) continue;
      if (series.state[from + i] === NONFINITE) continue;
      if (series.state[from + i] === MISSING) unmeasured++;
      series.state[from + i] = NONFINITE;
      marked++;
    }
  }
  if (marked === 0) return series;
  const { extent } = series;
  return {
    ...series,
    extent: { ...extent, nonFinite: extent.nonFinite + marked, missing: extent.missing - unmeasured },
  };
}

/** First step to one spacing after the last: a sample stands for the time until the next one. */
export function extentOf(series: Series): [number, number] {
  const { steps, count } = series;
  if (count === 0) return [0, 1];
  const last = steps[count - 1] as number;
  const gap = count > 1 ? last - (steps[count - 2] as number) : 1;
  return [steps[0] as number, last + gap];
}

/** Index of the sample that stands for `step`; -1 before the first one and after the last one's time. */
export function sampleInForce(series: Series, step: number): number {
  const [from, to] = extentOf(series);
  return series.count > 0 && step >= from && step < to ? sampleAt(series.steps, series.count, step) : -1;
}

/**
 * Index of the sample in force at `step`: the last one at or before it, or the first; null means the newest. -1 for an
 * empty series.
 */
export function sampleAt(steps: Float64Array, count: number, step: number | null): number {
  if (step === null) return count - 1;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle] as number) <= step) low = middle + 1;
    else high = middle;
  }
  return count === 0 ? -1 : Math.max(0, low - 1);
}
