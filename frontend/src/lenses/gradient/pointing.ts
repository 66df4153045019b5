/** Where the user points: a row and a sample, by pointer or by keys. */
import { batch } from "@preact/signals";
import type { Series } from "../../data/series";
import { addressOf, type TreeNode } from "../../data/tree";
import * as view from "../../data/view";
import type { HeatModel } from "./model";

export interface Pointed {
  readonly node: TreeNode | null;
  readonly sample: number;
}

export function pin(node: TreeNode | null, series: Series, sample: number): void {
  batch(() => {
    if (node) view.layer.value = addressOf(node);
    if (sample >= 0) view.step.value = series.steps[sample] as number;
  });
}

/** The sampled step `by` samples on; at the newest sample the cursor stays on it by number. */
export function nextStep(series: Series, sample: number, by: number): number | null {
  const next = Math.max(0, Math.min(series.count - 1, sample + by));
  return series.count > 0 ? (series.steps[next] as number) : null;
}

/** Zoom about a point, or pan, within the steps there are. */
export function zoomRange(model: HeatModel, unit: number, zoom: number, pan: number): void {
  const { axis, extent } = model;
  const [left, right] = [unit - unit * zoom + pan, unit + (1 - unit) * zoom + pan];
  const span = Math.round(axis.step(right) - axis.step(left));
  let from = Math.round(axis.step(left));
  let to = from + Math.max(4, span);
  if (from < extent[0]) [from, to] = [extent[0], extent[0] + (to - from)];
  if (to > extent[1]) [from, to] = [Math.max(extent[0], extent[1] - (to - from)), extent[1]];
  view.range.value = from <= extent[0] && to >= extent[1] ? null : [from, to];
}
