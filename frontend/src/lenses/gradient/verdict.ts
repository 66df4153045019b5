/**
 * What is plainly there, in words. Not a diagnosis: every sentence is one comparison of numbers on screen.
 */
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import { differ, together } from "../../data/derived";
import type { LoadedSeries } from "../../data/run_store";
import { FINITE, MISSING, NONFINITE, type Series, sampleInForce } from "../../data/series";
import { type Statistic, say } from "../../data/statistics";

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

/** One sample of a series, as the sentences below read it. */
type Moment = ReturnType<typeof momentOf>;

function momentOf(series: Series, statistic: Statistic, sample: number, nameOf: (row: number) => string) {
  const { state, capacity, steps } = series;
  const at = (row: number) => valueAt(series, row, sample);
  return {
    statistic,
    nameOf,
    noun: nounOf(statistic),
    when: `at step ${formatCount(steps[sample] as number)}`,
    /** Rows with a finite value. */
    rows: [...Array(series.rows).keys()].filter((r) => state[r * capacity + sample] === FINITE),
    at,
    /** Of these rows the one with the most of something. */
    most: (rows: readonly number[], size = at) => rows.reduce((a, b) => (size(b) > size(a) ? b : a)),
  };
}

export const nounOf = ({ rows }: Statistic): string => (rows === "layers" ? "layer" : "parameter");

const info = (text: string): Verdict => ({ severity: "info", text });

export function verdictOf(
  { series, domain }: LoadedSeries,
  statistic: Statistic,
  nonFinite: NonFinite | null,
  sample: number,
  nameOf: (row: number) => string,
): Verdict {
  if (series.count === 0) return info("No samples yet");
  if (nonFinite) {
    const where = `${nameOf(nonFinite.firstRow)} at step ${formatCount(nonFinite.firstStep)}`;
    const more = nonFinite.rows > 1 ? `; ${plural(nonFinite.rows, nounOf(statistic))} in all` : "";
    return { severity: "critical", text: `Not finite, first in ${where}${more}` };
  }
  if (domain.empty) return info("Nothing was measured for this statistic");
  const moment = momentOf(series, statistic, sample, nameOf);
  if (moment.rows.length === 0) return info(`Nothing was measured ${moment.when}`);
  if (statistic.scale === "ratio") return relativeVerdict(moment);
  if (statistic.scale === "share") return shareVerdict(moment);
  const byDepth = statistic.name === "gradient/rms" || statistic.name === "activation/rms";
  return (byDepth && depthVerdict(moment)) || rangeVerdict(moment);
}

/** Who strays farthest from its own median, and how many do. */
function relativeVerdict(moment: Moment): Verdict {
  const { rows, noun, when } = moment;
  const away = (r: number) => Math.abs(Math.log10(moment.at(r)));
  const farthest = moment.most(rows, away);
  if (away(farthest) < Math.log10(2))
    return { severity: "ok", text: `Within a factor of 2 of the own median ${when} in every ${noun} measured` };
  const far = rows.filter((r) => away(r) >= 1).length;
  const how = inTimes(moment.at(farthest), "its own median");
  return info(`Farthest is ${noun} ${moment.nameOf(farthest)}, ${how} ${when}${ofMany(far, rows.length, noun)}`);
}

/** Two runs as a sentence calls them. */
export interface Compared {
  readonly a: string;
  readonly b: string;
}

/** Where two runs differ most at a sample of the first, in words. `b` has the rows of `a`. */
export function comparison(
  a: Series,
  b: Series,
  statistic: Statistic,
  sample: number,
  nameOf: (row: number) => string,
  runs: Compared,
): Verdict {
  const noun = nounOf(statistic);
  const step = a.steps[sample] as number;
  const when = `at step ${formatCount(step)}`;
  const at = sampleInForce(b, step);
  if (at < 0) return info(`${runs.b} was not measured ${when}`);
  const divided = statistic.scale === "log";
  const size = (difference: number) => Math.abs(divided ? Math.log10(difference) : difference);
  let [rows, broken, far, worst, most] = [0, 0, 0, -1, -1];
  for (let r = 0; r < Math.min(a.rows, b.rows); r++) {
    const [i, k] = [r * a.capacity + sample, r * b.capacity + at];
    const state = together(a.state[i] as number, b.state[k] as number);
    if (state === MISSING) continue;
    rows++;
    if (state === NONFINITE) broken++;
    const away = size(differ(statistic.scale, a.values[i] as number, b.values[k] as number));
    if (divided && away >= 1) far++;
    if (away > most) [most, worst] = [away, r];
  }
  if (rows === 0) return info(`No ${noun} was measured in both runs ${when}`);
  const unsound = broken > 0 ? `; not finite in ${plural(broken, noun)}` : "";
  const severity = broken > 0 ? "critical" : "info";
  if (worst < 0) return { severity, text: `Nothing finite to compare ${when}${unsound}` };
  if (divided ? most < Math.log10(2) : most === 0) {
    const text = `${runs.a} and ${runs.b} ${divided ? "agree within a factor of 2" : "are the same"} in every ${noun} measured in both ${when}`;
    return { severity: broken > 0 ? severity : "ok", text: text + unsound };
  }
  const [x, y] = [valueAt(a, worst, sample), valueAt(b, worst, at)];
  const values = `${say(statistic.scale, x)} against ${say(statistic.scale, y)}`;
  const how = divided && x !== 0 && y !== 0 ? inTimes(x / y, runs.b) : `${x > y ? "above" : "below"} ${runs.b}`;
  const many = ofMany(far, rows, noun);
  return { severity, text: `${runs.a} is ${how} in ${noun} ${nameOf(worst)} ${when}, ${values}${many}${unsound}` };
}

const ofMany = (far: number, rows: number, noun: string): string =>
  far > 1 ? `; ${formatCount(far)} of ${plural(rows, noun)} differ 10 times or more` : "";

/** 0.01 -> "1/100 of …", 300 -> "300 times …", 1e-9 -> "9 orders of magnitude below …", 0 -> "0 against …". */
function inTimes(ratio: number, of: string): string {
  if (ratio === 0) return `0 against ${of}`;
  const times = ratio >= 1 ? ratio : 1 / ratio;
  if (times >= 1e5) return `${inWords(Math.log10(times))} ${ratio >= 1 ? "above" : "below"} ${of}`;
  const rounded = Number(times.toPrecision(2));
  const said = rounded < 10 ? String(rounded) : formatCount(rounded);
  return ratio >= 1 ? `${said} times ${of}` : `1/${said} of ${of}`;
}

/** From the last measured row to the first (gradients run backwards), or from the first to the last. */
function depthVerdict(moment: Moment): Verdict | null {
  const { rows, when, nameOf } = moment;
  const gradient = moment.statistic.name.startsWith("gradient");
  const subject = gradient ? "Gradient" : "Signal";
  const way = gradient ? [...rows].reverse() : rows;
  const [from, to] = [way[0] as number, way[way.length - 1] as number];
  if (from === to) return null;
  const zero = way.filter((r) => moment.at(r) === 0);
  if (zero.length > 0) {
    // Nothing gets through: no ratio of sizes says that. Names the layer where it ends, as the signal comes to it.
    const text =
      zero.length === rows.length
        ? `${subject} is exactly zero in all layers ${when}`
        : `${subject} is exactly zero in ${formatCount(zero.length)} of ${plural(rows.length, "layer")} ${when}; it stops at ${nameOf(zero[0] as number)}`;
    return { severity: "warning", text };
  }
  const decades = Math.log10(moment.at(to) / moment.at(from));
  const size = Math.abs(decades);
  if (size < 1) {
    const sizes = rows.map((r) => Math.log10(moment.at(r)));
    if (Math.max(...sizes) - Math.min(...sizes) >= 1) return null; // the ends agree, what is between does not
    return { severity: "ok", text: `${subject} keeps its scale within a factor of 10 through all layers ${when}` };
  }
  const [start, end] = gradient ? ["last", "first"] : ["first", "last"];
  const change = `${decades < 0 ? "falls" : "grows"} by ${inWords(size)}`;
  const path = `from the ${start} layer, ${nameOf(from)}, to the ${end}, ${nameOf(to)},`;
  return { severity: size >= 4 ? "warning" : "info", text: `${subject} ${change} ${path} ${when}` };
}

/** 6.21 -> "6.2 orders of magnitude"; 1 -> "1 order of magnitude". */
function inWords(decades: number): string {
  const rounded = Number(decades.toFixed(1));
  return `${rounded} order${rounded === 1 ? "" : "s"} of magnitude`;
}

function shareVerdict(moment: Moment): Verdict {
  const { rows, noun, when } = moment;
  const hit = rows.filter((r) => moment.at(r) > 0);
  if (hit.length === 0) return info(`0 % in ${plural(rows.length, noun)} measured ${when}`);
  const most = moment.most(hit);
  return info(
    `Highest in ${moment.nameOf(most)}, ${formatShare(moment.at(most))} ${when}; above 0 % in ${plural(hit.length, noun)}`,
  );
}

function rangeVerdict(moment: Moment): Verdict {
  const { rows, when } = moment;
  const [low, high] = [moment.most(rows, (r) => -moment.at(r)), moment.most(rows)];
  const said = (r: number) => `${formatValue(moment.at(r))} in ${moment.nameOf(r)}`;
  return info(low === high ? `${said(low)} ${when}` : `From ${said(low)} to ${said(high)} ${when}`);
}

function valueAt(series: Series, row: number, sample: number): number {
  return series.values[row * series.capacity + sample] as number;
}
