/** What each statistic is, how to draw it and how to read it. */
import { formatPoints, formatRatio, formatShare, formatValue } from "../base/format";
import type { Reducer } from "./buckets";

/** Magnitudes; shares; numbers with a sign; and of what is derived: ratios around 1, differences of shares. */
export type ScaleKind = "log" | "share" | "signed" | "ratio" | "points";

/** Whether colours run both ways from a middle. */
export const isDiverging = (kind: ScaleKind): boolean => kind === "signed" || kind === "ratio" || kind === "points";

const SAYING = { log: formatValue, signed: formatValue, share: formatShare, ratio: formatRatio, points: formatPoints };

/** A value for reading. */
export const say = (kind: ScaleKind, value: number): string => SAYING[kind](value);

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

const GROUPS: readonly StatisticGroup[] = [
  {
    title: "Gradient of layer outputs",
    statistics: [
      log(
        "gradient/rms",
        "Gradient rms",
        "Fading from the bottom row up is a vanishing gradient, growing an exploding one",
      ),
      log("gradient/abs_max", "Gradient maximum", "Far above the rms: rare, large gradients"),
      share(
        "gradient/zero_fraction",
        "Zero gradient",
        "Gradients that are exactly zero; near 100 % nothing upstream learns",
      ),
      share("gradient/underflow_fraction", "Gradient underflow", "Gradients too small for the number format in use"),
      share(
        "gradient/nonfinite_fraction",
        "Gradient NaN or Inf",
        "Anything above 0 is a broken step; it began at the leftmost mark",
      ),
    ],
  },
  {
    title: "Activations",
    statistics: [
      log(
        "activation/rms",
        "Activation rms",
        "A steady drift from top to bottom points at initialization or missing normalization",
      ),
      log("activation/std", "Activation spread", "Near zero the layer gives the same output whatever it sees"),
      log(
        "activation/example_std",
        "Spread between examples",
        "How much outputs differ between examples; near zero beside a larger spread, the layer ignores its input",
      ),
      {
        ...log(
          "activation/mean",
          "Activation mean",
          "Blue is below zero, orange above; far from zero beside a small spread, it is an offset later layers must undo",
        ),
        scale: "signed",
        reducer: "magnitude",
      },
      log("activation/abs_max", "Activation maximum", "Watch it in half precision: float16 ends at 65,504"),
      share(
        "activation/zero_fraction",
        "Zero outputs",
        "About half is usual after ReLU; rising towards 100 %, units are dying",
      ),
      share(
        "activation/dead_fraction",
        "Silent units",
        "Units that were zero for every value of this step's batch; Dead units says which stay so",
      ),
      share(
        "activation/dormant_fraction",
        "Dormant units",
        "Units whose mean magnitude is at most 2.5 % of their layer's",
      ),
      share(
        "activation/saturated_fraction",
        "Saturated outputs",
        "Outputs at the limits of a bounded activation, where hardly any gradient passes",
      ),
      share(
        "activation/nonfinite_fraction",
        "Activation NaN or Inf",
        "Anything above 0 is a broken step; it began at the leftmost mark",
      ),
    ],
  },
  {
    title: "Parameters",
    statistics: [
      log("parameter/update_ratio", "Update ratio", "Around 10⁻³ is usual; above 10⁻¹ a step rewrites the weight"),
      log(
        "parameter/learning_rate",
        "Learning rate",
        "As the optimizer had it on that step; rows of one colour share a group",
      ),
      log("parameter/grad_rms", "Weight gradient rms", "As the optimizer gets it: accumulated, unscaled, clipped"),
      log(
        "parameter/grad_rms_before_clip",
        "Weight gradient rms before clipping",
        "Where it stays above the clipped one, clipping decides the step",
      ),
      log("parameter/grad_abs_max", "Weight gradient maximum", "Far above the rms, few entries carry the step"),
      share(
        "parameter/grad_zero_fraction",
        "Zero weight gradient",
        "100 % is a parameter that does not learn; a steady share can be dead units upstream",
      ),
      share(
        "parameter/grad_nonfinite_fraction",
        "Weight gradient NaN or Inf",
        "Anything above 0 destroys the weights unless the step is skipped",
      ),
      log("parameter/update_rms", "Update rms", "The change the optimizer made on this step"),
      log("parameter/rms", "Weight rms", "Steady growth calls for decay, a jump for a smaller learning rate"),
      log("parameter/abs_max", "Weight maximum", "Far above the rms, it is an outlier that quantization will feel"),
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
