/** Scalars that the training loop wrote itself, placed on the axis of our steps by the server. */
import { arrayOf, type Container } from "./container";
import { records } from "./json";
import { sampleAt } from "./series";

export interface ScalarName {
  readonly name: string;
  readonly kind: "loss" | "rate" | "other" | "ours";
}

export interface ScalarSeries {
  readonly name: string;
  /** What placed it: its own count of steps, the times of writing, or nothing. */
  readonly by: "step" | "time" | "none";
  /** As the user counted. */
  readonly steps: Float64Array;
  /** As we count, rising. */
  readonly at: Float64Array;
  readonly values: Float64Array;
}

export interface ScalarData {
  /** All there are, what tells most first. */
  readonly offered: readonly ScalarName[];
  readonly shown: readonly ScalarSeries[];
}

const KINDS = ["loss", "rate", "other", "ours"] as const;

export function parseScalars(container: Container): ScalarData {
  const [steps, at, values] = ["steps", "at", "values"].map((name) => arrayOf(container, name, Float64Array)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let from = 0;
  const shown = records(container.header.shown).map((entry) => {
    const to = from + Number(entry.count);
    const part = (array: Float64Array) => array.subarray(from, to);
    const by = entry.by === "step" || entry.by === "time" ? entry.by : "none";
    const series = { name: String(entry.name), by, steps: part(steps), at: part(at), values: part(values) } as const;
    from = to;
    return series;
  });
  const offered = records(container.header.scalars).map(({ name, kind }) => ({
    name: String(name),
    kind: KINDS.find((k) => k === kind) ?? "other",
  }));
  return { offered, shown };
}

/** Index of the last record at or before a step; -1 for none. */
export function recordAt({ by, at }: ScalarSeries, step: number): number {
  if (by === "none" || at.length === 0 || step < (at[0] as number)) return -1;
  return sampleAt(at, at.length, step);
}
