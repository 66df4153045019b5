import { DeadLens } from "./dead/dead_lens";
import { DiagnosisLens } from "./diagnosis/diagnosis_lens";
import { DistributionsLens } from "./distributions/distributions_lens";
import { GradientLens } from "./gradient/gradient_lens";
import type { Lens } from "./lens";
import { StructureLens } from "./structure/structure_lens";

/** In the order of tabs and number keys; the first is where a visitor lands. */
export const LENSES: readonly [Lens, ...Lens[]] = [
  { id: "diagnosis", title: "Diagnosis", component: DiagnosisLens },
  { id: "gradient", title: "Gradient flow", short: "Gradient", component: GradientLens },
  { id: "dead", title: "Dead units", short: "Dead", component: DeadLens },
  { id: "distributions", title: "Distributions", component: DistributionsLens },
  { id: "structure", title: "Structure", component: StructureLens },
];

export function lensOf(id: string | null): Lens {
  return LENSES.find((lens) => lens.id === id) ?? LENSES[0];
}
