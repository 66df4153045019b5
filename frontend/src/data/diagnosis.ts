/**
 * What is wrong with a run, and what was checked. Parsed field by field: a newer server may add kinds of findings, and
 * the page shows what it understands.
 */
import { list, number, record, text, texts } from "./json";

export type Severity = "critical" | "warning" | "info";

/** From most to least. */
export const SEVERITIES: readonly Severity[] = ["critical", "warning", "info"];

export interface Evidence {
  readonly statistic: string;
  readonly caption: string;
  /** Layers or parameters: the decisive one first, or in the order of depth. */
  readonly rows: readonly string[];
  readonly steps: readonly number[];
  /** `values[t][r]`; NaN: not measured. */
  readonly values: readonly (readonly number[])[];
  /** Per row, what a healthy network has. */
  readonly expected: readonly number[] | null;
}

export interface Finding {
  readonly code: string;
  /** The worst of its own and of what it explains: what explains a broken run is no side note. */
  readonly severity: Severity;
  readonly layers: readonly string[];
  readonly firstStep: number;
  readonly lastStep: number;
  readonly message: string;
  readonly why: string;
  readonly remedy: string;
  readonly evidence: readonly Evidence[];
  /** What this one explains. */
  readonly effects: readonly Finding[];
}

export interface Check {
  readonly code: string;
  readonly question: string;
  readonly outcome: "found" | "passed" | "not checked";
  /** Why it was not checked, or only in part. */
  readonly reason: string;
}

export interface Diagnosis {
  readonly run: string;
  readonly version: string;
  /** First and last sampled step looked at; null without any. */
  readonly steps: readonly [number, number] | null;
  /** Worst first. */
  readonly findings: readonly Finding[];
  readonly checks: readonly Check[];
  /** What could not be read. */
  readonly notes: readonly string[];
  /** As it came, for a file of it. */
  readonly source: unknown;
}

export function parseDiagnosis(json: unknown): Diagnosis {
  const data = record(json);
  const [first, last] = list(data.steps);
  return {
    run: text(data.run),
    version: text(data.version),
    steps: typeof first === "number" && typeof last === "number" ? [first, last] : null,
    findings: worstFirst(list(data.findings).map(parseFinding)),
    checks: list(data.checks).map(parseCheck),
    notes: texts(data.notes),
    source: json,
  };
}

function parseFinding(json: unknown): Finding {
  const data = record(json);
  const effects = worstFirst(list(data.effects).map(parseFinding));
  const own = SEVERITIES.find((s) => s === data.severity) ?? "info";
  const firstStep = number(data.first_step);
  return {
    code: text(data.code),
    severity: SEVERITIES.find((s) => s === own || effects.some((e) => e.severity === s)) ?? own,
    layers: texts(data.layers),
    firstStep,
    lastStep: Math.max(firstStep, number(data.last_step)),
    message: text(data.message),
    why: text(data.why),
    remedy: text(data.remedy),
    evidence: list(data.evidence).map(parseEvidence),
    effects,
  };
}

/** Of one severity, in the server's order. */
function worstFirst(findings: readonly Finding[]): Finding[] {
  return SEVERITIES.flatMap((severity) => findings.filter((f) => f.severity === severity));
}

function parseEvidence(json: unknown): Evidence {
  const data = record(json);
  return {
    statistic: text(data.statistic),
    caption: text(data.caption),
    rows: texts(data.rows),
    steps: list(data.steps).map((v) => number(v)),
    values: list(data.values).map((row) => list(row).map(value)),
    expected: Array.isArray(data.expected) ? data.expected.map(value) : null,
  };
}

/** JSON knows neither NaN nor infinity. */
function value(v: unknown): number {
  if (typeof v === "number") return v;
  if (v === "inf") return Number.POSITIVE_INFINITY;
  return v === "-inf" ? Number.NEGATIVE_INFINITY : Number.NaN;
}

function parseCheck(json: unknown): Check {
  const data = record(json);
  return {
    code: text(data.code),
    question: text(data.question) || text(data.code),
    outcome: data.outcome === "found" || data.outcome === "passed" ? data.outcome : "not checked",
    reason: text(data.reason),
  };
}
