/**
 * The shared x axis: training steps to a place in 0 … 1, linear or logarithmic, and its ticks.
 *
 * A sample stands for the time until the next one, so the axis ends one spacing after the last step shown: the last
 * sample gets a width too, and a run of one step fills the picture.
 */
import { formatCount } from "./format";
import type { Tick } from "./scales";

export type AxisKind = "linear" | "log";

export interface StepAxis {
  readonly kind: AxisKind;
  readonly from: number;
  readonly to: number;
  unit(step: number): number;
  step(unit: number): number;
}

export function stepAxis(kind: AxisKind, from: number, to: number): StepAxis {
  const end = to > from ? to : from + 1;
  if (kind === "log") {
    // log1p of the distance to the start of training; a range that begins late stays logarithmic in absolute steps.
    const shift = Math.min(0, from);
    const low = Math.log1p(from - shift);
    const span = Math.log1p(end - shift) - low;
    return {
      kind,
      from,
      to: end,
      unit: (step) => (Math.log1p(Math.max(0, step - shift)) - low) / span,
      step: (unit) => Math.expm1(low + unit * span) + shift,
    };
  }
  const span = end - from;
  return { kind, from, to: end, unit: (step) => (step - from) / span, step: (unit) => from + unit * span };
}

/** Round steps, at most `most` of them. */
export function stepTicks(axis: StepAxis, most: number): Tick[] {
  const ticks: Tick[] = [];
  const push = (step: number) => {
    const at = axis.unit(step);
    if (at >= -1e-9 && at <= 1) ticks.push({ at, label: formatStep(step) });
  };
  if (axis.kind === "log" && axis.to > 20 && axis.to > 8 * Math.max(1, axis.from)) {
    const decades = Math.log10(axis.to / Math.max(1, axis.from));
    const marks = decades * 3 <= most ? [1, 2, 5] : [1];
    if (axis.from <= 0) push(0);
    for (let power = 1; power <= axis.to; power *= 10) {
      for (const mark of marks) push(power * mark);
    }
    return ticks;
  }
  const stride = roundStride((axis.to - axis.from) / Math.max(1, most));
  for (let step = Math.ceil(axis.from / stride) * stride; step <= axis.to; step += stride) push(step);
  return ticks;
}

function roundStride(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, raw)));
  return power * ([1, 2, 5].find((mark) => power * mark >= raw) ?? 10);
}

/** Ticks are short: 12,000 but 120k and 3M. */
function formatStep(step: number): string {
  if (step >= 1e6 && step % 1e5 === 0) return `${step / 1e6}M`;
  if (step >= 1e5 && step % 1e3 === 0) return `${step / 1e3}k`;
  return formatCount(step);
}
