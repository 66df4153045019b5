/** What the histograms show, in words; every sentence is a comparison of numbers on screen. */
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import { EDGES, HALF, INFINITY_BIN } from "../../data/bins";
import { type Format, type Loss, lossOf, lostAtLeast, lostAtMost } from "../../data/formats";
import { countIn, type Histogram, type Histograms, shareUpTo, summaryOf } from "../../data/histograms";
import type { Manifest } from "../../data/manifest";
import { KIND_LABELS } from "./choices";
import { isBroken } from "./ridges";

export interface Verdict {
  readonly severity: "critical" | "warning" | "ok" | "info";
  readonly text: string;
}

/** Magnitudes within this factor of each other are alike; beyond the second it is a warning. */
const ALIKE = 2;
const FAR = 100;
/** Factor by which a distribution gets narrower or wider before it is said: three octaves. */
const REFORMED = 8;
const NOTABLE_LOSS = 0.01;

export function lossText(loss: Loss): string {
  const [low, high] = [formatShare(lostAtLeast(loss)), formatShare(lostAtMost(loss))];
  return low === high ? low : `${low.replace(/ %$/, "")}–${high}`;
}

/** As it is for gradients, since training scales them. */
const formatWords = (format: Format, kind: string): string =>
  format.label + (kind.endsWith("gradient") ? " without loss scaling" : "");

/** The loss in a sentence. */
function lossWords(loss: Loss, format: Format, kind: string): string {
  if (lostAtMost(loss) === 0) return `nothing would be lost in ${format.label}`;
  const parts = [
    ...(loss.under > 0 ? [`${formatShare(loss.under)} would underflow to zero`] : []),
    ...(loss.overHigh > 0 ? [`${lossText({ ...loss, under: 0 })} would overflow`] : []),
  ];
  return `${parts.join(" and ")} in ${formatWords(format, kind)}`;
}

const stepWords = (data: Histograms, record: number): string => `step ${formatCount(data.steps[record] as number)}`;

/** One row: what became of it from its first record to the pinned one. */
export function verdictOverSteps(
  data: Histograms,
  pinned: number,
  format: Format | null,
  own: Format | null,
): Verdict | null {
  const now = data.list[pinned];
  if (!now) return null;
  const when = `at ${stepWords(data, pinned)}`;
  const broken = data.list.findIndex(isBroken);
  if (broken >= 0) {
    const { nan, infinite, total } = summaryOf(data.list[broken] as Histogram);
    const what = nan === 0 ? "infinite" : infinite === 0 ? "NaN" : "NaN or infinite";
    const share = formatShare((nan + infinite) / total);
    return { severity: "critical", text: `Values are ${what} since ${stepWords(data, broken)}, ${share} there` };
  }
  if (now.total === 0) return { severity: "info", text: `Nothing was measured ${when}` };
  const summary = summaryOf(now);
  if (!(summary.p50 > 0)) {
    const since = data.list.findLastIndex((h, i) => i < pinned && summaryOf(h).p50 > 0) + 1;
    return { severity: "warning", text: `Every value is exactly zero since ${stepWords(data, since)}` };
  }
  const first = data.list.findIndex((h) => summaryOf(h).p50 > 0);
  const then = summaryOf(data.list[first] as Histogram);
  const parts: string[] = [];
  const drift = factor(summary.p50, then.p50);
  const spread = factor(summary.p99 / summary.p1, then.p99 / then.p1);
  if (first >= pinned) parts.push(`Median magnitude ${formatValue(summary.p50)} ${when}`);
  else {
    const what = summary.p50 < then.p50 ? "fell" : "grew";
    const how = drift < ALIKE ? `stays within a factor of ${ALIKE}` : `${what} ${times(drift)}`;
    parts.push(`Median magnitude ${how} since ${stepWords(data, first)}`);
    const narrower = summary.p99 / summary.p1 < then.p99 / then.p1;
    if (spread >= REFORMED) parts.push(`its spread ${narrower ? "narrowed" : "widened"} ${times(spread)}`);
  }
  const loss = format && lossOf(now, format);
  if (loss) parts.push(lossWords(loss, format, data.kind));
  const share = loss ? lostAtLeast(loss) : 0;
  const severe = drift >= FAR || (own === format && share >= NOTABLE_LOSS);
  const calm = drift < ALIKE && share < NOTABLE_LOSS;
  return { severity: severe ? "warning" : calm ? "ok" : "info", text: parts.join("; ") };
}

/** All rows at one step. */
export function verdictOverDepth(
  data: Histograms,
  format: Format | null,
  nameOf: (row: number) => string,
  noun: string,
): Verdict | null {
  if (data.steps.length === 0) return null;
  const when = `at ${stepWords(data, 0)}`;
  const rows = data.list.flatMap((histogram, row) => (histogram.total > 0 ? { histogram, row } : []));
  if (rows.length === 0) return { severity: "info", text: `Nothing was measured ${when}` };
  const several = (list: typeof rows) => plural(list.length, noun);
  const where = (list: typeof rows) => {
    const first = nameOf(list[0]?.row as number);
    return list.length === 1 ? first : `${several(list)}, first in ${first}`;
  };
  const broken = rows.filter(({ histogram }) => isBroken(histogram));
  if (broken.length > 0) {
    return { severity: "critical", text: `NaN or Inf ${when} in ${where(broken)}` };
  }
  const median = ({ histogram }: (typeof rows)[0]): number => summaryOf(histogram).p50;
  const sized = rows.filter((r) => median(r) > 0).sort((a, b) => median(a) - median(b));
  const zero = rows.filter((r) => !(median(r) > 0));
  const parts: string[] = [];
  const [low, high] = [sized[0], sized.at(-1)];
  const far = low && high ? median(high) / median(low) : 1;
  const end = (r: (typeof rows)[0]) => `${formatValue(median(r))} in ${nameOf(r.row)}`;
  if (far >= 10 && low && high) {
    parts.push(`Median magnitudes differ ${times(far)} ${when}, from ${end(low)} to ${end(high)}`);
  } else if (low) parts.push(`Median magnitudes are within a factor of 10 in all ${several(sized)} ${when}`);
  if (zero.length > 0) parts.push(`${low ? "all zero" : `All zero ${when}`} in ${where(zero)}`);
  if (format) {
    const losing = rows.filter(({ histogram }) => lostAtLeast(lossOf(histogram, format)) >= NOTABLE_LOSS);
    if (losing.length > 0) parts.push(`${several(losing)} would lose 1 % or more in ${formatWords(format, data.kind)}`);
  }
  return { severity: zero.length > 0 || far >= 1e4 ? "warning" : far < 10 ? "ok" : "info", text: parts.join("; ") };
}

/** How far two positive numbers are from each other. */
const factor = (a: number, b: number): number => Math.max(a / b, b / a);

/** 31.7 -> "by a factor of 32": two digits are enough in a sentence. */
function times(factor: number): string {
  if (factor >= 1e5) return `by ${Number(Math.log10(factor).toFixed(1))} orders of magnitude`;
  return `by a factor of ${factor < 10 ? Number(factor.toPrecision(2)) : formatCount(Number(factor.toPrecision(2)))}`;
}

/** A bin as text; `say` writes its bounds. */
export function binLabel(bin: number, say: (value: number) => string = formatValue): string {
  const m = bin & (HALF - 1);
  const sign = bin < HALF ? 1 : -1;
  if (m === 0) return bin === 0 ? "0" : "−0";
  if (m > INFINITY_BIN) return sign > 0 ? "NaN" : "NaN (sign bit set)";
  if (m === INFINITY_BIN) return formatValue(sign * Number.POSITIVE_INFINITY);
  const ends = [EDGES[m], EDGES[m + 1]].map((edge) => say(sign * (edge as number)));
  return (sign > 0 ? ends : ends.reverse()).join(" to ");
}

/** What lies in a bin of the order of values, and the whole of its histogram. */
export function readoutOf(histogram: Histogram, order: number | null, format: Format | null): string[] {
  const { total, finite, zero, nan, infinite, p1, p50, p99 } = summaryOf(histogram);
  if (total === 0) return ["not measured"];
  const parts: string[] = [];
  if (order !== null) {
    const count = countIn(histogram, order);
    const share = formatShare(count / total);
    const many = total === 1 ? share : `${formatCount(count)} of ${formatCount(total)} (${share})`;
    const bin = order === 0 ? "zero" : binLabel(order < 0 ? HALF - order : order);
    parts.push(`${bin}: ${many}, ${formatShare(shareUpTo(histogram, order))} up to here`);
  }
  if (p50 > 0) parts.push(`|x| 1 % ${formatValue(p1)}, median ${formatValue(p50)}, 99 % ${formatValue(p99)}`);
  const shares = { zero: order === 0 ? 0 : zero, NaN: nan, Inf: infinite };
  for (const [name, count] of Object.entries(shares))
    if (count > 0) parts.push(`${name} ${formatShare(count / total)}`);
  if (format && finite > 0) parts.push(`lost in ${format.label} ${lossText(lossOf(histogram, format))}`);
  return parts;
}

/** How to read the picture. */
export function noteOf(scale: "log" | "linear", cut: boolean): string {
  const unit = scale === "log" ? "octave" : "unit of the axis";
  const peaks = cut ? "; the highest peaks are cut" : "";
  return `Area is share: height is the share of values per ${unit}, one scale for all ridges${peaks}; the bar at zero is full when all are`;
}

/** The picture in a sentence. `row` null: over depth. */
export function pictureWords(kind: string, row: string | null, verdict: string): string {
  const of = (KIND_LABELS[kind] ?? kind).toLowerCase();
  const what = row === null ? "of all rows at one step" : `of ${row || "the model"} over steps`;
  return `Distributions of the ${of} ${what}. ${verdict}`;
}

/** Why there is nothing to draw. `row` null: over depth. */
export function silence(manifest: Manifest, row: string | null): string {
  if (row === null) return "Nothing was recorded at this step";
  const why = manifest.notObserved.get(row);
  return `Nothing was recorded of ${row || "the model"}${why ? `: ${why}` : ""}`;
}
