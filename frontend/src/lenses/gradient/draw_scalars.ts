/** One or two scalars of the training loop over the steps in view, each on a scale of its own. */
import { hatch, polyline, tag } from "../../base/canvas";
import { formatValue } from "../../base/format";
import { linearScale, logScale, type Scale } from "../../base/scales";
import type { StepAxis } from "../../base/step_axis";
import type { ScalarSeries } from "../../data/scalars";
import type { Theme } from "../../views/theme";
import { INSET } from "./draw_strip";

/** Fewer records than this are also drawn as dots: they are all there is. */
const FEW = 60;
/** Within a factor of this a linear scale tells more. */
const NARROW = 20;

export interface Curve {
  readonly series: ScalarSeries;
  readonly scale: Scale;
  readonly kind: "linear" | "log";
  /** Records `from … to - 1` are in view or one beside it. */
  readonly from: number;
  readonly to: number;
}

/** The part of a scalar in view and the scale that fits it; null where nothing of it is. */
export function curveOf(series: ScalarSeries, axis: StepAxis): Curve | null {
  const { at, values } = series;
  let [from, to] = [0, at.length];
  while (from + 1 < to && (at[from + 1] as number) <= axis.from) from++;
  while (to - 1 > from && (at[to - 2] as number) >= axis.to) to--;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = from; i < to; i++) {
    const value = values[i] as number;
    if (value - value !== 0) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (series.by === "none" || from === to) return null;
  if (low > high) [low, high] = [0, 1]; // nothing finite: only the marks are drawn
  const kind = low > 0 && high > NARROW * low ? "log" : "linear";
  return { series, kind, scale: kind === "log" ? logScale(low, high) : linearScale(low, high), from, to };
}

export function drawScalars(
  curves: readonly (Curve | null)[],
  axis: StepAxis,
  context: CanvasRenderingContext2D,
  { colours }: Theme,
  width: number,
  height: number,
): void {
  const inks = [colours.accent, colours.second];
  const up = (scale: Scale, value: number) => height - INSET - scale.unit(value) * (height - 2 * INSET);
  for (const [c, curve] of curves.entries()) {
    if (!curve) continue;
    const { series, scale, from, to } = curve;
    const x = (i: number) => axis.unit(series.at[i] as number) * width;
    const y = (i: number) => {
      const value = series.values[i] as number;
      return value - value === 0 ? up(scale, value) : Number.NaN;
    };
    context.strokeStyle = context.fillStyle = inks[c] as string;
    context.lineWidth = 1.5;
    context.setLineDash(c === 0 ? [] : [5, 3]);
    polyline(context, from, to, x, y);
    context.setLineDash([]);
    for (let i = from; i < to && to - from < FEW; i++) {
      context.beginPath();
      // Nowhere, where it is not finite.
      context.arc(x(i), y(i), 2.5, 0, 2 * Math.PI);
      context.fill();
    }
    context.fillStyle = hatch(colours);
    for (let i = from; i < to; i++) {
      if (Number.isNaN(y(i))) context.fillRect(Math.min(x(i), width - 3), 0, 3, height);
    }
  }
  // After all lines, which would cross them.
  for (const [c, curve] of curves.entries()) {
    if (!curve) continue;
    const { scale, kind } = curve;
    for (const value of new Set([scale.high, scale.low])) {
      const text = formatValue(value) + (kind === "log" && value === scale.high ? " log" : "");
      // The first curve's scale stands on the left, the second's on the right.
      const [at, side] = c === 0 ? ([2, "left"] as const) : ([width - 2, "right"] as const);
      tag(context, text, at, up(scale, value), side, inks[c] as string, colours.page);
    }
  }
}
