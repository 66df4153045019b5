/** A cell's colour: the same scale as in Gradient flow, and ink that can be read on it. */
import { cssOf } from "../../base/ramps";
import type { Domain } from "../../data/domain";
import { MISSING, NONFINITE } from "../../data/series";
import type { ScaleKind } from "../../data/statistics";
import type { Theme } from "../../views/theme";
import type { Cell } from "../gradient/model";

export interface Paint {
  readonly state: "value" | "zero" | "nonfinite" | "missing";
  /** CSS colours; null where a pattern or nothing stands for the value. */
  readonly fill: string | null;
  readonly ink: string | null;
}

const NOTHING: Paint = { state: "missing", fill: null, ink: null };
const BROKEN: Paint = { state: "nonfinite", fill: null, ink: null };

export function paintOf(cell: Cell, domain: Domain | null, kind: ScaleKind, theme: Theme): Paint {
  if (cell.state === NONFINITE) return BROKEN;
  if (!domain || cell.state === MISSING || Number.isNaN(cell.value)) return NOTHING;
  const zero = kind === "log" && cell.value === 0;
  const ramp = kind === "signed" ? theme.ramps.diverging : theme.ramps.sequential;
  const pixel = zero ? theme.zeroPixel : (ramp[Math.round(domain.scale.unit(cell.value) * 255)] ?? 0);
  return { state: zero ? "zero" : "value", fill: cssOf(pixel), ink: inkOn(pixel) };
}

/** Black or white, whichever stands out more: one of them always has 4.5:1. */
export function inkOn(pixel: number): string {
  const linear = (c: number) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light =
    0.2126 * linear(pixel & 255) + 0.7152 * linear((pixel >> 8) & 255) + 0.0722 * linear((pixel >> 16) & 255);
  return light > 0.179 ? "#000000" : "#ffffff";
}
