/** What a diagnosis says in words: kinds of findings, where, since when, and the verdict over all of them. */
import { formatCount, plural, superscript } from "../../base/format";
import type { Diagnosis, Finding, Severity } from "../../data/diagnosis";

/** Of a finding: its title, and the same as the beginning of a sentence that goes on with where and since when. */
const WORDS: Readonly<Record<string, readonly [title: string, clause: string]>> = {
  "vanishing-gradient": ["Vanishing gradient", "the gradient vanishes in"],
  "exploding-gradient": ["Exploding gradient", "the gradient explodes in"],
  "dead-units": ["Dead units", "units are dead in"],
  "dormant-units": ["Dormant units", "units lie dormant in"],
  "saturated-units": ["Saturated units", "units are saturated in"],
  "non-finite": ["NaN or infinite", "values are NaN or infinite, first in"],
  "poor-initialization": ["Poor initialization", "the initialization is poor in"],
  "update-too-large": ["Updates too large", "updates are too large in"],
  "update-too-small": ["Updates too small", "updates are too small in"],
  "no-gradient": ["No gradient", "no gradient reaches"],
  "gradient-underflow": ["Gradient underflow", "gradients underflow in"],
  "gradient-clipping": ["Gradient clipping", "clipping decides the step in"],
  "collapsed-output": ["Collapsed output", "the output has collapsed in"],
};

export const SEVERITY_WORDS: Readonly<Record<Severity, string>> = {
  critical: "Critical",
  warning: "Warning",
  info: "Note",
};

const NOUNS: Readonly<Record<Severity, string>> = { critical: "problem", warning: "warning", info: "note" };

export function titleOf(code: string): string {
  const words = code.replaceAll("-", " ");
  return WORDS[code]?.[0] ?? words.charAt(0).toUpperCase() + words.slice(1);
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
  const parts = (["critical", "warning", "info"] as const)
    .map((s) => [findings.filter((f) => f.severity === s).length, NOUNS[s]] as const)
    .filter(([count]) => count > 0)
    .map(([count, noun]) => plural(count, noun));
  const last = parts.pop() ?? "";
  return parts.length > 0 ? `${parts.join(", ")} and ${last}` : last;
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
    const clause = WORDS[code]?.[1] ?? `${titleOf(code).toLowerCase()} in`;
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
  const titles = kinds.slice(0, MOST_CLAUSES).map((code) => titleOf(code).replace(/^[A-Z](?=[a-z])(?!aN)/, lower));
  const last = kinds.length > MOST_CLAUSES ? `${formatCount(kinds.length - MOST_CLAUSES)} more` : (titles.pop() ?? "");
  return `, which also explains ${titles.length > 0 ? `${titles.join(", ")} and ${last}` : last}`;
}

const lower = (letter: string): string => letter.toLowerCase();
