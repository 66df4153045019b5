/**
 * What the picture shows, from what is loaded and how it is to be looked at. Every way of looking is a series like any
 * other, so there is one heat map, one table, one file.
 */
import { recent } from "../../base/recent";
import type { AxisKind } from "../../base/step_axis";
import {
  differ,
  difference,
  differenceStatistic,
  hasRelative,
  inRows,
  relative,
  relativeStatistic,
  sharedDomain,
  together,
} from "../../data/derived";
import type { Domain } from "../../data/domain";
import type { LoadedSeries } from "../../data/run_store";
import { extentOf, MISSING, type Series } from "../../data/series";
import type { ScaleKind, Statistic } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";
import * as view from "../../data/view";
import { type Cell, type HeatModel, modelFor } from "./model";

/** Colours by the values themselves, or by each row's ratio to its own median. */
export const colour = view.choice("colour", ["value", "relative"]);
/** A second run as the difference, or its rows beside those of the first. */
export const compare = view.choice("compare", ["difference", "beside"]);

interface Coloured {
  readonly loaded: LoadedSeries;
  readonly statistic: Statistic;
}

/** What is drawn, before it is reduced to columns. */
export interface Picked {
  /** What the colours and the numbers beside the rows say. */
  readonly main: Coloured;
  /** The other run's, drawn in the lower half of each row. */
  readonly below: Coloured | null;
  /** The values themselves. */
  readonly a: Coloured;
  readonly b: Coloured | null;
  readonly extent: readonly [number, number];
}

/** `rows`: of each row the one in `b`, -1 for none. */
export function pick(
  a: LoadedSeries,
  other: { readonly loaded: LoadedSeries; readonly rows: Int32Array } | null,
  statistic: Statistic,
  how: { readonly colour: "value" | "relative"; readonly compare: "difference" | "beside" },
): Picked {
  const ratio = how.colour === "relative" && hasRelative(statistic);
  const coloured = (loaded: LoadedSeries): Coloured =>
    ratio ? { loaded: relative(loaded, statistic), statistic: relativeStatistic(statistic) } : { loaded, statistic };
  if (!other) {
    return { main: coloured(a), below: null, a: { loaded: a, statistic }, b: null, extent: extentOf(a.series) };
  }
  const second = inRows(other.loaded.series, other.rows);
  const domain = sharedDomain(a.series, second, statistic);
  const pair = {
    a: { loaded: withDomain(a.series, domain), statistic },
    b: { loaded: withDomain(second, domain), statistic },
  };
  const extent = extentOf(a.series);
  if (how.compare === "difference") {
    const main = { loaded: difference(a.series, second, statistic), statistic: differenceStatistic(statistic) };
    return { main, below: null, ...pair, extent };
  }
  const [from, to] = extentOf(second);
  const both = [Math.min(extent[0], from), Math.max(extent[1], to)] as const;
  return { ...beside(coloured(pair.a.loaded), coloured(pair.b.loaded)), ...pair, extent: both };
}

const colourings = recent<LoadedSeries>(4);

/** The same object for the same two: what is drawn of it is kept by it. */
const withDomain = (series: Series, domain: Domain): LoadedSeries =>
  colourings([series, domain], () => ({ series, domain }));

/** Two rows of one colour scale. */
function beside(main: Coloured, below: Coloured): Pick<Picked, "main" | "below"> {
  const { scale } = main.loaded.domain;
  const domain = below.loaded.domain.scale.high > scale.high ? below.loaded.domain : main.loaded.domain;
  const within = ({ loaded, statistic }: Coloured) => ({ loaded: withDomain(loaded.series, domain), statistic });
  return main.statistic.scale === "ratio" ? { main: within(main), below: within(below) } : { main, below };
}

export interface Shown {
  readonly main: HeatModel;
  readonly below: HeatModel | null;
  readonly a: HeatModel;
  readonly b: HeatModel | null;
}

/** What the colours say, over all steps. */
export const wholeOf = ({ main, extent }: Picked, kind: AxisKind, width: number): HeatModel =>
  modelFor(main.loaded, main.statistic, kind, null, width, extent);

/** All of it, reduced to the columns of one picture. `whole`: of the same, where it is at hand. */
export function shownIn(
  picked: Picked,
  kind: AxisKind,
  range: readonly [number, number] | null,
  width: number,
  whole = wholeOf(picked, kind, width),
): Shown {
  const { main, below, a, b, extent } = picked;
  const model = ({ loaded, statistic }: Coloured): HeatModel =>
    !range && loaded === main.loaded ? whole : modelFor(loaded, statistic, kind, range, width, extent);
  return { main: model(main), below: below && model(below), a: model(a), b: b && model(b) };
}

/** What there is to say of a row at a sample: what the picture says, and the numbers it comes from. */
export interface Reading {
  readonly main: Cell;
  readonly a: Cell;
  readonly b: Cell;
  readonly difference: Cell;
}

const NOTHING: Cell = { value: Number.NaN, state: MISSING, row: -1 };

/** Of a group, all of the member that the picture shows. */
export function readingOf(shown: Shown, node: TreeNode, sample: number): Reading {
  const main = shown.main.cell(node, sample);
  const rows = main.row >= 0 ? [main.row] : node.rows;
  const a = shown.a.cell({ rows }, sample);
  if (!shown.b) return { main, a, b: NOTHING, difference: NOTHING };
  // A group of which the first run has nothing is judged by the second.
  const b = shown.b.cell({ rows }, shown.b.sampleInForce(shown.a, sample));
  const value = differ(shown.a.statistic.scale, a.value, b.value);
  const state = together(a.state, b.state);
  return { main, a, b, difference: { value: state === MISSING ? Number.NaN : Math.fround(value), state, row: a.row } };
}

/** One number of a reading. */
export interface Part {
  /** Empty where there is only one. */
  readonly label: string;
  readonly scale: ScaleKind;
  readonly of: (reading: Reading) => Cell;
}

/** The numbers that readout, tables and files give of every cell. */
export function partsOf({ main, a, b }: Shown): readonly Part[] {
  const { scale } = a.statistic;
  if (!b) return [{ label: "", scale: main.statistic.scale, of: (reading) => reading.main }];
  const apart = differenceStatistic(a.statistic).scale;
  return [
    { label: "A", scale, of: (reading) => reading.a },
    { label: "B", scale, of: (reading) => reading.b },
    { label: scale === "log" ? "A ÷ B" : "A − B", scale: apart, of: (reading) => reading.difference },
  ];
}
