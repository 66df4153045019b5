/** Evidence in a sentence, and as the numbers of a table. */
import { formatCount, formatValue, plural } from "../../base/format";
import type { Evidence } from "../../data/diagnosis";
import { say, statisticOf } from "../../data/statistics";
import { shortName } from "./words";

export function sayerOf(name: string): (value: number) => string {
  const { scale } = statisticOf(name);
  return (value) =>
    Number.isNaN(value) ? "not measured" : Number.isFinite(value) ? say(scale, value) : formatValue(value);
}

/** What the chart shows, for those who do not see it and for those who want the numbers. */
export function sentenceOf(evidence: Evidence, depth: boolean): string {
  const { rows, steps, values, expected } = evidence;
  const { label, rows: kind } = statisticOf(evidence.statistic);
  const [last, end] = [steps.length - 1, rows.length - 1];
  if (last < 0 || end < 0) return `${label}: no values`;
  const number = sayerOf(evidence.statistic);
  const value = (step: number, row: number) => number(values[step]?.[row] ?? Number.NaN);
  const at = (step: number) => `at step ${formatCount(steps[step] as number)}`;
  const noun = kind === "layers" ? "layer" : "parameter";
  const name = (row: number) => shortName(rows[row] as string);
  if (depth) {
    const from = `${label} ${at(last)}: ${value(last, 0)} in ${name(0)}, ${value(last, end)} in ${name(end)}`;
    const usual = expected ? [...new Set([expected[0], expected[end]].map((v) => number(v ?? Number.NaN)))] : [];
    return usual.length > 0 ? `${from}; expected ${usual.join(" to ")}` : from;
  }
  const course = [...new Set([0, last])].map((step) => `${value(step, 0)} ${at(step)}`).join(", ");
  const others = end > 0 ? `; ${plural(end, `other ${noun}`)} drawn as well` : "";
  const usual = expected?.[0] === undefined ? "" : `; expected ${number(expected[0])}`;
  return `${label} of ${name(0)}: ${course}${usual}${others}`;
}
