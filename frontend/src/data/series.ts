/**
 * One statistic of one run in memory: all rows, all sampled steps.
 *
 * Layout: row after row, `capacity` values apart, so that reading one row over time runs along memory (the wire has
 * step after step). `state` has the same layout and says what a value is, because NaN alone cannot: *not measured on
 * that step*, or *measured, and not finite*.
 */
import { arrayOf, type Container } from "./container";

export const FINITE = 0;
export const MISSING = 1;
export const NONFINITE = 2;

export interface Series {
  readonly name: string;
  readonly rows: number;
  readonly capacity: number;
  /** Number of steps in use. */
  readonly count: number;
  readonly steps: Float64Array;
  readonly values: Float32Array;
  readonly state: Uint8Array;
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
  };
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
  // Blocks keep both the reads (step-major) and the writes (row-major) within the cache.
  const block = 64;
  for (let r0 = 0; r0 < width; r0 += block) {
    const r1 = Math.min(width, r0 + block);
    for (let t = 0; t < steps.length; t++) {
      const source = t * width;
      for (let r = r0; r < r1; r++) {
        const value = values[source + r] as number;
        const target = r * grown.capacity + series.count + t;
        grown.values[target] = value;
        grown.state[target] = value - value === 0 ? FINITE : Number.isNaN(value) ? MISSING : NONFINITE;
      }
    }
  }
  return { ...grown, count };
}

function reserve(series: Series, rows: number, count: number): Series {
  if (rows === series.rows && count <= series.capacity) return series;
  const capacity =
    count <= series.capacity
      ? series.capacity
      : series.capacity === 0
        ? count
        : Math.max(count, Math.ceil(count * 1.5));
  const steps = new Float64Array(capacity);
  steps.set(series.steps.subarray(0, series.count));
  const values = new Float32Array(rows * capacity).fill(Number.NaN);
  const state = new Uint8Array(rows * capacity).fill(MISSING);
  for (let r = 0; r < series.rows; r++) {
    const from = r * series.capacity;
    values.set(series.values.subarray(from, from + series.count), r * capacity);
    state.set(series.state.subarray(from, from + series.count), r * capacity);
  }
  return { ...series, rows, capacity, steps, values, state };
}

/** Marks in `series` what its `nonfinite_fraction` companion knows; steps are matched, they need not be the same. */
export function markNonFinite(series: Series, companion: Series): void {
  const rows = Math.min(series.rows, companion.rows);
  const at = new Int32Array(series.count);
  let j = 0;
  for (let i = 0; i < series.count; i++) {
    while (j < companion.count && (companion.steps[j] as number) < (series.steps[i] as number)) j++;
    at[i] = j < companion.count && companion.steps[j] === series.steps[i] ? j : -1;
  }
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < series.count; i++) {
      const k = at[i] as number;
      if (k >= 0 && (companion.values[r * companion.capacity + k] as number) > 0) {
        series.state[r * series.capacity + i] = NONFINITE;
      }
    }
  }
}

/** Index of the sample in force at `step`: the last one at or before it, or the first. -1 for an empty series. */
export function sampleAt(steps: Float64Array, count: number, step: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle] as number) <= step) low = middle + 1;
    else high = middle;
  }
  return count === 0 ? -1 : Math.max(0, low - 1);
}
