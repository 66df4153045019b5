/**
 * What is plainly there, in words. Not a diagnosis: every sentence is one comparison of numbers on screen.
 */
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import type { LoadedSeries } from "../../data/run_store";
import { FINITE, NONFINITE, type Series } from "../../data/series";
import type { Statistic } from "../../data/statistics";

export interface Verdict {
  readonly severity: "critical" | "warning" | "ok" | "info";
  readonly text: string;
}

export interface NonFinite {
  readonly rows: number;
  readonly firstRow: number;
  readonly firstStep: number;
}

export function nonFiniteIn(series: Series): NonFinite | null {
  let [rows, firstRow, first] = [0, -1, Number.POSITIVE_INFINITY];
  for (let r = 0; r < series.rows; r++) {
    const at = series.state.subarray(r * series.capacity, r * series.capacity + series.count).indexOf(NONFINITE);
    if (at < 0) continue;
    rows++;
    if (at < first) [first, firstRow] = [at, r];
  }
  return rows > 0 ? { rows, firstRow, firstStep: series.steps[first] as number } : null;
}

export function verdictOf(
  loaded: LoadedSeries,
  statistic: Statistic,
  nonFinite: NonFinite | null,
  sample: number,
  nameOf: (row: number) => string,
): Verdict {
  const { series, domain } = loaded;
  const noun = statistic.rows === "layers" ? "layer" : "parameter";
  if (series.count === 0) return { severity: "info", text: "No samples yet" };
  if (nonFinite) {
    const where = `${nameOf(nonFinite.firstRow)} at step ${formatCount(nonFinite.firstStep)}`;
    const more = nonFinite.rows > 1 ? `; ${plural(nonFinite.rows, noun)} in all` : "";
    return { severity: "critical", text: `Not finite, first in ${where}${more}` };
  }
  if (domain.empty) return { severity: "info", text: "Nothing was measured for this statistic" };
  if (statistic.scale === "share") return shareVerdict(series, sample, nameOf, noun);
  if (statistic.name === "gradient/rms" || statistic.name === "activation/rms") {
    const depth = depthVerdict(series, statistic, sample, nameOf);
    if (depth) return depth;
  }
  return rangeVerdict(series, sample, nameOf);
}

/** From the last measured row to the first (gradients run backwards), or from the first to the last. */
function depthVerdict(
  series: Series,
  statistic: Statistic,
  sample: number,
  nameOf: (row: number) => string,
): Verdict | null {
  const rows = measured(series, sample);
  const [top, bottom] = [rows[0], rows[rows.length - 1]];
  if (top === undefined || bottom === undefined || top === bottom) return null;
  const gradient = statistic.name.startsWith("gradient");
  const zero = rows.filter((r) => valueAt(series, r, sample) === 0);
  if (zero.length > 0) return zeroVerdict(zero, rows.length, gradient, series.steps[sample] as number, nameOf);
  const [from, to] = gradient ? [bottom, top] : [top, bottom];
  const decades = Math.log10(valueAt(series, to, sample) / valueAt(series, from, sample));
  const subject = gradient ? "Gradient" : "Signal";
  const [start, end] = gradient ? ["last", "first"] : ["first", "last"];
  const when = `at step ${formatCount(series.steps[sample] as number)}`;
  const severity = Math.abs(decades) >= 4 ? "warning" : "info";
  if (Math.abs(decades) < 1) {
    const sizes = rows.map((r) => Math.log10(valueAt(series, r, sample)));
    if (Math.max(...sizes) - Math.min(...sizes) >= 1) return null; // the ends agree, what is between does not
    return { severity: "ok", text: `${subject} keeps its scale within a factor of 10 through all layers ${when}` };
  }
  const change = `${decades < 0 ? "falls" : "grows"} by ${inWords(Math.abs(decades))}`;
  const path = `from the ${start} layer, ${nameOf(from)}, to the ${end}, ${nameOf(to)},`;
  return { severity, text: `${subject} ${change} ${path} ${when}` };
}

/** Nothing gets through: no ratio of sizes says that. Names the layer where it ends, as the signal comes to it. */
function zeroVerdict(
  zero: readonly number[],
  measured: number,
  gradient: boolean,
  step: number,
  nameOf: (row: number) => string,
): Verdict {
  const where = nameOf(zero[gradient ? zero.length - 1 : 0] as number);
  const [subject, when] = [gradient ? "Gradient" : "Signal", `at step ${formatCount(step)}`];
  if (zero.length === measured)
    return { severity: "warning", text: `${subject} is exactly zero in all layers ${when}` };
  const what = `${subject} is exactly zero in ${formatCount(zero.length)} of ${plural(measured, "layer")}`;
  return { severity: "warning", text: `${what} ${when}; it stops at ${where}` };
}

/** 6.21 -> "6.2 orders of magnitude"; 1 -> "1 order of magnitude". */
function inWords(decades: number): string {
  const rounded = Number(decades.toFixed(1));
  return `${rounded} order${rounded === 1 ? "" : "s"} of magnitude`;
}

function shareVerdict(series: Series, sample: number, nameOf: (row: number) => string, noun: string): Verdict {
  const rows = measured(series, sample);
  const hit = rows.filter((r) => valueAt(series, r, sample) > 0);
  const when = `at step ${formatCount(series.steps[sample] as number)}`;
  if (hit.length === 0) return { severity: "info", text: `0 % in ${plural(rows.length, noun)} measured ${when}` };
  const most = hit.reduce((a, b) => (valueAt(series, b, sample) > valueAt(series, a, sample) ? b : a));
  const share = formatShare(valueAt(series, most, sample));
  return {
    severity: "info",
    text: `Highest in ${nameOf(most)}, ${share} ${when}; above 0 % in ${plural(hit.length, noun)}`,
  };
}

function rangeVerdict(series: Series, sample: number, nameOf: (row: number) => string): Verdict {
  const rows = measured(series, sample);
  const when = `at step ${formatCount(series.steps[sample] as number)}`;
  const [first] = rows;
  if (first === undefined) return { severity: "info", text: `Nothing was measured ${when}` };
  let [low, high] = [first, first];
  for (const r of rows) {
    if (valueAt(series, r, sample) < valueAt(series, low, sample)) low = r;
    if (valueAt(series, r, sample) > valueAt(series, high, sample)) high = r;
  }
  const say = (r: number) => `${formatValue(valueAt(series, r, sample))} in ${nameOf(r)}`;
  const text = low === high ? `${say(low)} ${when}` : `From ${say(low)} to ${say(high)} ${when}`;
  return { severity: "info", text };
}

function measured(series: Series, sample: number): number[] {
  const rows: number[] = [];
  for (let r = 0; r < series.rows; r++) if (series.state[r * series.capacity + sample] === FINITE) rows.push(r);
  return rows;
}

function valueAt(series: Series, row: number, sample: number): number {
  return series.values[row * series.capacity + sample] as number;
}
