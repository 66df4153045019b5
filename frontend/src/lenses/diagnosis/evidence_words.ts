/** Evidence in a sentence, and as the numbers of a table. */
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import type { Evidence } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import { shortName } from "./words";

export function sayerOf(statistic: string): (value: number) => string {
  const share = statisticOf(statistic).scale === "share";
  return (value) =>
    Number.isNaN(value) ? "not measured" : share && Number.isFinite(value) ? formatShare(value) : formatValue(value);
}

/** What the chart shows, for those who do not see it and for those who want the numbers. */
export function sentenceOf(evidence: Evidence, depth: boolean): string {
  const { rows, steps, values, expected } = evidence;
  const { label, rows: kind } = statisticOf(evidence.statistic);
  const [first, last] = [0, steps.length - 1];
  if (last < 0 || rows.length === 0) return `${label}: no values`;
  const say = sayerOf(evidence.statistic);
  const value = (step: number, row: number) => say(values[step]?.[row] ?? Number.NaN);
  const at = (step: number) => `at step ${formatCount(steps[step] as number)}`;
  const end = rows.length - 1;
  const name = (row: number) => shortName(rows[row] as string);
  if (depth) {
    const from = `${label} ${at(last)}: ${value(last, 0)} in ${name(0)}, ${value(last, end)} in ${name(end)}`;
    const usual = expected ? [...new Set([expected[0], expected[end]].map((v) => say(v ?? Number.NaN)))] : [];
    return usual.length > 0 ? `${from}; expected ${usual.join(" to ")}` : from;
  }
  const course =
    last === 0 ? `${value(0, 0)} ${at(0)}` : `${value(first, 0)} ${at(first)}, ${value(last, 0)} ${at(last)}`;
  const others = end > 0 ? `; ${plural(end, kind === "layers" ? "other layer" : "other parameter")} drawn as well` : "";
  const usual = expected?.[0] === undefined ? "" : `; expected ${say(expected[0])}`;
  return `${label} of ${name(0)}: ${course}${usual}${others}`;
}

/** Indices spread evenly, first and last among them. */
export function evenly(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i / (most - 1)) * (count - 1)));
}
