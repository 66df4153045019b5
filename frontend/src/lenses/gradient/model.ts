/**
 * One statistic, reduced to the columns of one picture. Rows are reduced when first drawn and kept: scrolling and
 * hovering then touch a few thousand numbers, not millions.
 */
import { recent } from "../../base/recent";
import { clamp } from "../../base/scales";
import { type AxisKind, type StepAxis, stepAxis } from "../../base/step_axis";
import {
  type Columns,
  columnsOf,
  emptyReduced,
  mergeChild,
  newReduced,
  type Reduced,
  reduceRow,
  shownSample,
  worse,
} from "../../data/buckets";
import type { LoadedSeries } from "../../data/run_store";
import { extentOf, FINITE, MISSING, NONFINITE, sampleAt, sampleInForce } from "../../data/series";
import type { Statistic } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";

export interface Cell {
  /** NaN unless `state` is FINITE, or NONFINITE with something finite beside it. */
  readonly value: number;
  readonly state: number;
  /** Row of the data the value comes from: of a group, its worst child; -1 for none. */
  readonly row: number;
}

export class HeatModel {
  readonly axis: StepAxis;
  readonly columns: Columns;
  /** The step at which the last sample stops standing for what follows. */
  private readonly end: number;
  private readonly reduced = new Map<string, Reduced>();
  private readonly scratch: Reduced;
  private readonly spans = new Map<string, Span>();

  constructor(
    readonly loaded: LoadedSeries,
    readonly statistic: Statistic,
    kind: AxisKind,
    range: readonly [number, number] | null,
    width: number,
    /** Of the whole run, or of both where there are two. */
    readonly extent: readonly [number, number] = extentOf(loaded.series),
  ) {
    // A range without any of the steps there are, as of a longer run, would be an empty picture.
    const [from, to] = range && range[0] < extent[1] && range[1] > extent[0] ? range : extent;
    this.end = extentOf(loaded.series)[1];
    this.axis = stepAxis(kind, Math.max(from, extent[0]), Math.max(Math.min(to, extent[1]), extent[0] + 1));
    this.columns = columnsOf(loaded.series.steps, loaded.series.count, this.axis, Math.max(1, width), this.end);
    this.scratch = newReduced(this.columns.count);
  }

  of(node: TreeNode): Reduced {
    let out = this.reduced.get(node.key);
    if (!out) {
      out = node.kind === "leaf" ? this.leaf(node.row, newReduced(this.columns.count)) : this.worst(node.children);
      this.reduced.set(node.key, out);
    }
    return out;
  }

  /** Several nodes as one. A leaf that is not on screen itself is not kept: 1,000 take 12 MB. */
  private worst(nodes: readonly TreeNode[]): Reduced {
    const out = emptyReduced(this.columns.count);
    for (const node of nodes) {
      const known = node.kind === "group" ? this.of(node) : this.reduced.get(node.key);
      const part = known ?? this.leaf(node.row, this.scratch);
      mergeChild(out, part, this.statistic.reducer, this.loaded.domain.reference);
    }
    return out;
  }

  private leaf(row: number, out: Reduced): Reduced {
    const { series } = this.loaded;
    if (row >= series.rows) return emptyReduced(this.columns.count);
    reduceRow(series, row, this.columns, this.statistic.reducer, out);
    return out;
  }

  /** Samples of the window: `[first, last)`. */
  window(): [number, number] {
    const { first, last, count } = this.columns;
    // Columns after the last sample's time are empty.
    let c = count - 1;
    while (c > 0 && last[c] === 0) c--;
    return [first[0] as number, last[c] as number];
  }

  /** Of a node, or of some rows. */
  cell({ rows }: Pick<TreeNode, "rows">, sample: number): Cell {
    return cellOf(this.loaded, this.statistic, rows, sample);
  }

  /** The sample that a place in the picture shows of a row. */
  sampleIn(node: TreeNode | null, unit: number): number {
    const { count } = this.columns;
    const column = clamp(Math.floor(unit * count), 0, count - 1);
    const { series, domain } = this.loaded;
    if ((this.columns.last[column] ?? 0) === 0) return -1;
    return shownSample(series, node?.rows ?? [], this.columns, column, this.statistic.reducer, domain.reference);
  }

  sampleAtStep(step: number | null): number {
    const { steps, count } = this.loaded.series;
    return sampleAt(steps, count, step);
  }

  /** The sample that stands for the step of another run's; -1 for none. */
  sampleInForce({ loaded }: HeatModel, sample: number): number {
    return sampleInForce(this.loaded.series, loaded.series.steps[sample] ?? Number.NaN);
  }

  /** Middle of a sample's place in the picture, 0 … 1; outside when it is not in the window. */
  unitOf(sample: number): number {
    const { steps, count } = this.loaded.series;
    const step = steps[sample] as number;
    const next = sample + 1 < count ? (steps[sample + 1] as number) : Math.min(this.end, this.axis.to);
    const [left, right] = [this.axis.unit(step), Math.min(1, this.axis.unit(next))];
    // Narrow cells are crossed in the middle; a wide one (a sample held for long) near its beginning.
    return left + Math.min((right - left) / 2, 0.004);
  }

  /** Smallest and largest finite value of a row in the window, and whether all of it was finite. */
  span(node: TreeNode): Span {
    let span = this.spans.get(node.key);
    if (!span) {
      const { low, high, state } = this.of(node);
      span = {
        low: low.reduce((best, x) => (x < best || Number.isNaN(best) ? x : best)),
        high: high.reduce((best, x) => (x > best || Number.isNaN(best) ? x : best)),
        broken: state.includes(NONFINITE),
      };
      this.spans.set(node.key, span);
    }
    return span;
  }
}

const models = recent<HeatModel>(3);

/** The model of a picture, the same one while nothing about it changes: coming back to a lens costs little. */
export function modelFor(
  loaded: LoadedSeries,
  statistic: Statistic,
  kind: AxisKind,
  range: readonly [number, number] | null,
  width: number,
  extent: readonly [number, number],
): HeatModel {
  return models(
    [loaded, kind, width, String(range), String(extent)],
    () => new HeatModel(loaded, statistic, kind, range, width, extent),
  );
}

export interface Span {
  /** NaN where nothing finite was measured. */
  readonly low: number;
  readonly high: number;
  readonly broken: boolean;
}

/** Times and first sample of what was not finite in some rows of the window. */
export function countNonFinite(model: HeatModel, rows: readonly number[]): { times: number; first: number } {
  const { state, capacity } = model.loaded.series;
  const [start, end] = model.window();
  let [times, first] = [0, -1];
  for (const row of rows) {
    for (let i = start; i < end; i++) {
      if (state[row * capacity + i] !== NONFINITE) continue;
      times++;
      if (first < 0 || i < first) first = i;
    }
  }
  return { times, first };
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
