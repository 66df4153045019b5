import { DeadLens } from "./dead/dead_lens";
import { DiagnosisLens } from "./diagnosis/diagnosis_lens";
import { GradientLens } from "./gradient/gradient_lens";
import type { Lens } from "./lens";

/** In the order of tabs and number keys; the first is where a visitor lands. */
export const LENSES: readonly [Lens, ...Lens[]] = [
  { id: "diagnosis", title: "Diagnosis", component: DiagnosisLens },
  { id: "gradient", title: "Gradient flow", component: GradientLens },
  { id: "dead", title: "Dead units", component: DeadLens },
];

export function lensOf(id: string | null): Lens {
  return LENSES.find((lens) => lens.id === id) ?? LENSES[0];
}
