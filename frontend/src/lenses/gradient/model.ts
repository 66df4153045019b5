/**
 * One statistic, reduced to the columns of one picture. Rows are reduced when first drawn and kept: scrolling and
 * hovering then touch a few thousand numbers, not millions.
 */
import { type AxisKind, type StepAxis, stepAxis } from "../../base/step_axis";
import {
  type Columns,
  columnsOf,
  mergeChild,
  newReduced,
  type Reduced,
  reduceRow,
  shownSample,
  worse,
} from "../../data/buckets";
import type { LoadedSeries } from "../../data/run_store";
import { FINITE, MISSING, NONFINITE, type Series, sampleAt } from "../../data/series";
import type { Statistic } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";

export interface Cell {
  /** NaN unless `state` is FINITE, or NONFINITE with something finite beside it. */
  readonly value: number;
  readonly state: number;
  /** Row of the data the value comes from: of a group, its worst child; -1 for none. */
  readonly row: number;
}

/** First step to one spacing after the last: see `stepAxis`. */
export function extentOf(series: Series): [number, number] {
  const { steps, count } = series;
  if (count === 0) return [0, 1];
  const last = steps[count - 1] as number;
  const gap = count > 1 ? last - (steps[count - 2] as number) : 1;
  return [steps[0] as number, last + gap];
}

export class HeatModel {
  readonly axis: StepAxis;
  readonly columns: Columns;
  private readonly reduced = new Map<string, Reduced>();
  private readonly spans = new Map<string, Span>();

  constructor(
    readonly loaded: LoadedSeries,
    readonly statistic: Statistic,
    kind: AxisKind,
    range: readonly [number, number] | null,
    width: number,
  ) {
    const extent = extentOf(loaded.series);
    const [from, to] = range ?? extent;
    this.axis = stepAxis(kind, Math.max(from, extent[0]), Math.max(Math.min(to, extent[1]), extent[0] + 1));
    this.columns = columnsOf(loaded.series.steps, loaded.series.count, this.axis, Math.max(1, width));
  }

  of(node: TreeNode): Reduced {
    let out = this.reduced.get(node.key);
    if (!out) {
      out = newReduced(this.columns.count);
      if (node.kind === "leaf") reduceRow(this.loaded.series, node.row, this.columns, this.statistic.reducer, out);
      else this.merge(node.children, out);
      this.reduced.set(node.key, out);
    }
    return out;
  }

  /** Several nodes as one: what a group shows, and a line of the overview that stands for more than one layer. */
  merge(nodes: readonly TreeNode[], out: Reduced = newReduced(this.columns.count)): Reduced {
    const { reducer } = this.statistic;
    for (const node of nodes) mergeChild(out, this.of(node), reducer, this.loaded.domain.reference);
    return out;
  }

  /** Samples of the window: `[first, last)`. */
  window(): [number, number] {
    const { series } = this.loaded;
    const { first, last, count } = this.columns;
    return series.count === 0 ? [0, 0] : [first[0] as number, Math.max(last[count - 1] as number, 1)];
  }

  cell(node: TreeNode, sample: number): Cell {
    return cellOf(this.loaded, this.statistic, node.rows, sample);
  }

  /** The sample that a place in the picture shows of a row. */
  sampleIn(node: TreeNode | null, unit: number): number {
    const column = Math.max(0, Math.min(this.columns.count - 1, Math.floor(unit * this.columns.count)));
    const { series, domain } = this.loaded;
    if ((this.columns.last[column] ?? 0) === 0) return -1;
    return shownSample(series, node?.rows ?? [], this.columns, column, this.statistic.reducer, domain.reference);
  }

  sampleAtStep(step: number | null): number {
    const { steps, count } = this.loaded.series;
    return step === null ? count - 1 : sampleAt(steps, count, step);
  }

  /** Middle of a sample's place in the picture, 0 … 1; outside when it is not in the window. */
  unitOf(sample: number): number {
    const { steps, count } = this.loaded.series;
    const step = steps[sample] as number;
    const next = sample + 1 < count ? (steps[sample + 1] as number) : this.axis.to;
    const [left, right] = [this.axis.unit(step), Math.min(1, this.axis.unit(next))];
    // Narrow cells are crossed in the middle; a wide one (a sample held for long) near its beginning.
    return left + Math.min((right - left) / 2, 0.004);
  }

  /** Smallest and largest finite value of a row in the window, and how many of its samples were not finite. */
  span(node: TreeNode): Span {
    let span = this.spans.get(node.key);
    if (!span) {
      span = spanOf(this.loaded.series, node.rows, ...this.window());
      this.spans.set(node.key, span);
    }
    return span;
  }
}

export interface Span {
  readonly low: number;
  readonly high: number;
  readonly nonFinite: number;
  /** Sample of the first non-finite value; -1 for none. */
  readonly firstNonFinite: number;
}

export function spanOf(series: Series, rows: readonly number[], first: number, last: number): Span {
  let [low, high, nonFinite, firstNonFinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -1];
  for (const row of rows) {
    for (let i = first; i < last; i++) {
      const at = row * series.capacity + i;
      const value = series.values[at] as number;
      if (series.state[at] === NONFINITE) {
        nonFinite++;
        if (firstNonFinite < 0 || i < firstNonFinite) firstNonFinite = i;
      }
      if (value - value === 0) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return { low, high, nonFinite, firstNonFinite };
}

export function cellOf(loaded: LoadedSeries, statistic: Statistic, rows: readonly number[], sample: number): Cell {
  const { series, domain } = loaded;
  let [value, state, row] = [Number.NaN, MISSING, -1];
  if (sample < 0 || sample >= series.count) return { value, state, row };
  for (const candidate of rows) {
    if (candidate >= series.rows) continue;
    const at = candidate * series.capacity + sample;
    const kind = series.state[at] as number;
    if (kind === MISSING) continue;
    if (kind === NONFINITE) {
      if (state !== NONFINITE) row = candidate;
      state = NONFINITE;
    } else if (state === MISSING) state = FINITE;
    const found = series.values[at] as number;
    if (found - found !== 0) continue;
    if (worse(found, value, statistic.reducer, domain.reference)) {
      value = found;
      if (state !== NONFINITE) row = candidate;
    }
  }
  return { value, state, row };
}
