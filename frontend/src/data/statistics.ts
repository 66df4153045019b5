/** What each statistic is, how to draw it and how to read it. */
import type { Reducer } from "./buckets";

export type ScaleKind = "log" | "share" | "signed";

export interface Statistic {
  readonly name: string;
  readonly label: string;
  readonly scale: ScaleKind;
  readonly reducer: Reducer;
  readonly rows: "layers" | "parameters";
  /** Where the signal enters, and so what the other rows compare with: gradients at the last row. */
  readonly anchor: "first" | "last" | null;
  readonly read: string;
}

export interface StatisticGroup {
  readonly title: string;
  readonly statistics: readonly Statistic[];
}

const log = (name: string, label: string, read: string): Statistic => ({
  name,
  label,
  read,
  scale: "log",
  reducer: "extreme",
  rows: name.startsWith("parameter/") ? "parameters" : "layers",
  anchor:
    name.startsWith("gradient/") || name.startsWith("parameter/grad_")
      ? "last"
      : name.startsWith("activation/")
        ? "first"
        : null,
});
const share = (name: string, label: string, read: string): Statistic => ({
  ...log(name, label, read),
  scale: "share",
  reducer: "max",
});

export const GROUPS: readonly StatisticGroup[] = [
  {
    title: "Gradient of layer outputs",
    statistics: [
      log(
        "gradient/rms",
        "Gradient rms",
        "Colour should change little from the bottom row up: fading towards the top is a vanishing gradient, the reverse an exploding one",
      ),
      log(
        "gradient/abs_max",
        "Gradient maximum",
        "A layer whose maximum runs far ahead of its rms sends rare, large gradients",
      ),
      share(
        "gradient/zero_fraction",
        "Zero gradient",
        "Share of gradient entries that are exactly zero; near 100 % nothing upstream learns",
      ),
      share(
        "gradient/underflow_fraction",
        "Gradient underflow",
        "Share of gradient entries too small for the number format in use",
      ),
      share(
        "gradient/nonfinite_fraction",
        "Gradient NaN or Inf",
        "Anything above 0 is a broken step; the leftmost mark is where it began",
      ),
    ],
  },
  {
    title: "Activations",
    statistics: [
      log(
        "activation/rms",
        "Activation rms",
        "Signal size by depth: a steady drift from top to bottom points at initialization or missing normalization",
      ),
      log(
        "activation/std",
        "Activation spread",
        "A spread that falls towards zero means the layer gives the same output whatever it sees",
      ),
      {
        ...log(
          "activation/mean",
          "Activation mean",
          "Blue is below zero, orange above; a mean far from zero beside a small spread is an offset later layers must undo",
        ),
        scale: "signed",
        reducer: "magnitude",
      },
      log("activation/abs_max", "Activation maximum", "Watch it in half precision: float16 ends at 65,504"),
      share(
        "activation/zero_fraction",
        "Zero outputs",
        "About half is usual after ReLU; rising towards 100 % means units are dying",
      ),
      share(
        "activation/dead_fraction",
        "Silent units",
        "Share of units that were zero for every value of this step's batch; the Dead units lens says which stay so",
      ),
      share(
        "activation/dormant_fraction",
        "Dormant units",
        "Share of units whose mean magnitude is at most 2.5 % of their layer's",
      ),
      share(
        "activation/saturated_fraction",
        "Saturated outputs",
        "Share of outputs at the limits of a bounded activation, where it passes hardly any gradient",
      ),
      share(
        "activation/nonfinite_fraction",
        "Activation NaN or Inf",
        "Anything above 0 is a broken step; the leftmost, topmost mark is where it began",
      ),
    ],
  },
  {
    title: "Parameters",
    statistics: [
      log(
        "parameter/update_ratio",
        "Update ratio",
        "Size of a step relative to the weight; around 10⁻³ is usual, above 10⁻¹ a step rewrites the weight",
      ),
      log("parameter/grad_rms", "Weight gradient rms", "As the optimizer gets it: accumulated, unscaled, clipped"),
      log(
        "parameter/grad_rms_before_clip",
        "Weight gradient rms before clipping",
        "Compare with the gradient after clipping: a lasting difference means clipping decides the step",
      ),
      log(
        "parameter/grad_abs_max",
        "Weight gradient maximum",
        "A maximum far above the rms means few entries carry the step",
      ),
      share(
        "parameter/grad_zero_fraction",
        "Zero weight gradient",
        "100 % is a parameter that does not learn; a steady share can be dead units upstream",
      ),
      share(
        "parameter/grad_nonfinite_fraction",
        "Weight gradient NaN or Inf",
        "Anything above 0 would have destroyed the weights unless the step was skipped",
      ),
      log("parameter/update_rms", "Update rms", "Size of the change the optimizer made on this step"),
      log(
        "parameter/rms",
        "Weight rms",
        "Weights should move slowly; steady growth calls for decay, a jump for a smaller learning rate",
      ),
      log(
        "parameter/abs_max",
        "Weight maximum",
        "A single weight far above the rms is an outlier that quantization will feel",
      ),
    ],
  },
];

const KNOWN = new Map(GROUPS.flatMap((g) => g.statistics).map((s) => [s.name, s]));

/** The groups with only what the run has; what a newer writer added comes last, by its own name. */
export function groupsFor(names: readonly string[]): StatisticGroup[] {
  const present = new Set(names);
  const groups = GROUPS.map((g) => ({ title: g.title, statistics: g.statistics.filter((s) => present.has(s.name)) }));
  const other = names.filter((n) => !KNOWN.has(n)).map(statisticOf);
  if (other.length > 0) groups.push({ title: "Other", statistics: other });
  return groups.filter((g) => g.statistics.length > 0);
}

export function statisticOf(name: string): Statistic {
  const known = KNOWN.get(name);
  if (known) return known;
  const make = name.endsWith("_fraction") ? share : log;
  return make(name, name, "");
}

/** The statistic that knows where this one was not finite, if there is one. */
export function companionOf(name: string): string | null {
  const [kind, what] = name.split("/");
  if (!what || what.includes("nonfinite")) return null;
  if (kind === "gradient" || kind === "activation") return `${kind}/nonfinite_fraction`;
  return kind === "parameter" && what.startsWith("grad_") ? "parameter/grad_nonfinite_fraction" : null;
}
