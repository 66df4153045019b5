/** What a diagnosis says in words: kinds of findings, where, since when, and the verdict over all of them. */
import { formatCount, plural, superscript } from "../../base/format";
import { type Diagnosis, type Finding, SEVERITIES, type Severity } from "../../data/diagnosis";

/** Beginnings of a sentence that goes on with where and since when. */
const CLAUSES: Readonly<Record<string, string>> = {
  "vanishing-gradient": "the gradient vanishes in",
  "exploding-gradient": "the gradient explodes in",
  "dead-units": "units are dead in",
  "dormant-units": "units lie dormant in",
  "saturated-units": "units are saturated in",
  "non-finite": "values are NaN or infinite, first in",
  "poor-initialization": "the initialization is poor in",
  "update-too-large": "updates are too large in",
  "update-too-small": "updates are too small in",
  "no-gradient": "no gradient reaches",
  "gradient-underflow": "gradients underflow in",
  "gradient-clipping": "clipping decides the step in",
  "collapsed-output": "the output has collapsed in",
};

/** Others are called by their code. */
const TITLES: Readonly<Record<string, string>> = {
  "non-finite": "NaN or infinite",
  "update-too-large": "Updates too large",
  "update-too-small": "Updates too small",
};

export const SEVERITY_WORDS: Readonly<Record<Severity, string>> = {
  critical: "Critical",
  warning: "Warning",
  info: "Note",
};

const NOUNS: Readonly<Record<Severity, string>> = { critical: "problem", warning: "warning", info: "note" };

export function titleOf(code: string): string {
  const words = code.replaceAll("-", " ");
  return TITLES[code] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

/** "since step 900", "steps 20 to 80", "at step 7". */
export function whenOf(finding: Pick<Finding, "firstStep" | "lastStep">, steps: Diagnosis["steps"]): string {
  const { firstStep, lastStep } = finding;
  if (!steps || lastStep >= steps[1]) return `since step ${formatCount(firstStep)}`;
  if (firstStep === lastStep) return `at step ${formatCount(firstStep)}`;
  return `steps ${formatCount(firstStep)} to ${formatCount(lastStep)}`;
}

const LONGEST = 48;

/** A name short enough for a sentence: its end tells layers apart. */
export function shortName(name: string): string {
  const letters = [...name];
  if (letters.length <= LONGEST) return name || "the model";
  const end = letters.slice(1 - LONGEST).join("");
  const part = /[./]/.exec(end.slice(0, LONGEST / 2));
  return `…${part ? end.slice(part.index + 1) : end}`;
}

/** Sentences come as plain text: 10^-7 is written 10⁻⁷ here. */
export function typeset(sentence: string): string {
  return sentence.replace(/\b10\^(-?\d{1,4})/g, (_, exponent: string) => `10${superscript(Number(exponent))}`);
}

export interface Verdict {
  readonly severity: Severity | "ok";
  /** How many of what: "2 problems". */
  readonly head: string;
  /** What, where and since when. */
  readonly tail: string;
}

const MOST_CLAUSES = 3;

/** `isParameter`: whether a name is a parameter's and not a layer's. */
export function verdictOf(diagnosis: Diagnosis, isParameter: (name: string) => boolean): Verdict {
  const { findings, checks, steps } = diagnosis;
  const [worst] = findings;
  if (worst) {
    const clauses = clausesOf(findings, steps, isParameter);
    const more = clauses.length - MOST_CLAUSES;
    const tail = clauses.slice(0, MOST_CLAUSES).join("; ") + (more > 0 ? `; and ${formatCount(more)} more` : "");
    const head = countsOf(findings) + (worst.severity === "info" ? ", nothing serious" : "");
    return { severity: worst.severity, head: `${head}:`, tail };
  }
  if (!steps) return { severity: "info", head: "Nothing to look at yet:", tail: "no step has been sampled" };
  const made = checks.filter((c) => c.outcome !== "not checked").length;
  if (made === 0) return { severity: "info", head: "Nothing could be checked", tail: overSteps(steps) };
  return { severity: "ok", head: "Nothing wrong found", tail: `in ${plural(made, "check")} ${overSteps(steps)}` };
}

/** "2 problems, 1 warning and 3 notes". */
export function countsOf(findings: readonly Finding[]): string {
  const counts = SEVERITIES.map((s) => [findings.filter((f) => f.severity === s).length, NOUNS[s]] as const);
  return listed(counts.flatMap(([count, noun]) => (count > 0 ? [plural(count, noun)] : [])));
}

/** "a, b and c". */
function listed(parts: readonly string[]): string {
  return parts.join(", ").replace(/, (?!.*, )/, " and ");
}

export function overSteps(steps: readonly [number, number]): string {
  return steps[0] === steps[1]
    ? `at step ${formatCount(steps[0])}`
    : `over steps ${formatCount(steps[0])} to ${formatCount(steps[1])}`;
}

/** One clause per kind of finding: three layers with dead units are one thing to know. */
function clausesOf(
  findings: readonly Finding[],
  steps: Diagnosis["steps"],
  isParameter: (name: string) => boolean,
): string[] {
  const kinds = new Map<string, Finding[]>();
  for (const finding of findings) kinds.set(finding.code, [...(kinds.get(finding.code) ?? []), finding]);
  return [...kinds].map(([code, alike]) => {
    const layers = [...new Set(alike.flatMap((f) => f.layers))];
    const when = whenOf(
      { firstStep: Math.min(...alike.map((f) => f.firstStep)), lastStep: Math.max(...alike.map((f) => f.lastStep)) },
      steps,
    );
    const clause = CLAUSES[code] ?? `${titleOf(code).toLowerCase()} in`;
    const [first] = layers;
    if (first === undefined) return `${clause.replace(/,? (first )?in$/, "").replace(/ reaches$/, " arrives")} ${when}`;
    const noun = isParameter(first) ? "parameter" : "layer";
    const more = layers.length > 1 ? ` and ${formatCount(layers.length - 1)} more` : "";
    return `${clause} ${noun} ${shortName(first)}${more} ${when}${explained(alike)}`;
  });
}

/** What these findings bring about, by kind. */
function explained(findings: readonly Finding[]): string {
  const kinds = [...new Set(findings.flatMap((f) => f.effects.map((e) => e.code)))];
  if (kinds.length === 0) return "";
  const titles = kinds
    .slice(0, MOST_CLAUSES)
    .map((code) => titleOf(code).replace(/^[A-Z](?=[a-z])(?!aN)/, (letter) => letter.toLowerCase()));
  const more = kinds.length - MOST_CLAUSES;
  return `, which also explains ${listed(more > 0 ? [...titles, `${formatCount(more)} more`] : titles)}`;
}
