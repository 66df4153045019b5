/** Exact medians, row by row, of what a series holds. */
import type { Series } from "./series";

/** Median of the finite magnitudes above zero of each row, over the whole run; NaN where a row has none. */
export function rowMedians(series: Series): Float64Array {
  const { rows, capacity, count, values } = series;
  const out = new Float64Array(rows).fill(Number.NaN);
  const some = new Float32Array(count);
  for (let r = 0; r < rows; r++) {
    let n = 0;
    for (let i = r * capacity, end = i + count; i < end; i++) {
      const size = Math.abs(values[i] as number);
      if (size > 0 && size - size === 0) some[n++] = size;
    }
    if (n > 0) out[r] = median(some, n);
  }
  return out;
}

/** Of the first `n` numbers, which are reordered; the mean of the two in the middle where `n` is even. */
export function median(some: Float32Array, n: number): number {
  const middle = n >> 1;
  const upper = select(some, n, middle);
  if (n % 2 === 1) return upper;
  // What select leaves before the middle is not above it: the largest of that is the other one.
  let lower = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < middle; i++) if ((some[i] as number) > lower) lower = some[i] as number;
  return (lower + upper) / 2;
}

/** The k-th smallest of the first `n`, by Hoare's quickselect: a full sort would cost five times as much. */
function select(a: Float32Array, n: number, k: number): number {
  let [left, right] = [0, n - 1];
  while (left < right) {
    const pivot = middleOf(a[left] as number, a[(left + right) >> 1] as number, a[right] as number);
    let [i, j] = [left, right];
    while (i <= j) {
      while ((a[i] as number) < pivot) i++;
      while ((a[j] as number) > pivot) j--;
      if (i > j) break;
      const swap = a[i] as number;
      a[i++] = a[j] as number;
      a[j--] = swap;
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else break;
  }
  return a[k] as number;
}

function middleOf(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
