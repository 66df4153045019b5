/** Findings of two runs, matched: what is new in this one, what is gone, and what is in both, worse or better. */
import { plural } from "../../base/format";
import { type Diagnosis, type Evidence, type Finding, SEVERITIES } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import { sayerOf } from "./evidence_words";
import { SEVERITY_WORDS } from "./words";

export interface Change {
  readonly kind: "new" | "worse" | "better" | "same";
  /** "56 % here, 11 % there"; empty where nothing was measured that could be compared. */
  readonly words: string;
}

export interface Diff {
  /** Of each finding of this run, effects included. */
  readonly changes: ReadonlyMap<Finding, Change>;
  /** Only in the other run; an effect whose cause is in both stands by itself. */
  readonly gone: readonly Finding[];
}

/** A share has to differ by this much, another value by this factor, to be called worse or better. */
const SHARE = 0.05;
const FACTOR = 2;

export function diffOf(mine: Diagnosis, theirs: Diagnosis): Diff {
  const open = new Set(flat(theirs.findings));
  const changes = new Map<Finding, Change>();
  const all = flat(mine.findings);
  // By the first layer, which names a finding; then by any layer the two share.
  for (const alike of [sameFirst, sameAny]) {
    for (const finding of all) {
      if (changes.has(finding)) continue;
      const twin = [...open].find((other) => other.code === finding.code && alike(finding, other));
      if (!twin) continue;
      open.delete(twin);
      changes.set(finding, changeOf(finding, twin));
    }
  }
  for (const finding of all) if (!changes.has(finding)) changes.set(finding, { kind: "new", words: "" });
  const inside = new Set(flat([...open].flatMap((finding) => finding.effects)));
  return { changes, gone: [...open].filter((finding) => !inside.has(finding)) };
}

const flat = (findings: readonly Finding[]): Finding[] => findings.flatMap((f) => [f, ...flat(f.effects)]);
const sameFirst = (a: Finding, b: Finding): boolean => a.layers[0] === b.layers[0];
const sameAny = (a: Finding, b: Finding): boolean => a.layers.some((name) => b.layers.includes(name));

function changeOf(mine: Finding, theirs: Finding): Change {
  const say = (by: number, here: string, there: string): Change => ({
    kind: by > 0 ? "worse" : "better",
    words: `${here} here, ${there} there`,
  });
  const rank = SEVERITIES.indexOf(theirs.severity) - SEVERITIES.indexOf(mine.severity);
  const word = ({ severity }: Finding) => SEVERITY_WORDS[severity].toLowerCase();
  if (rank !== 0) return say(rank, word(mine), word(theirs));
  const [a, b] = [mine.evidence[0], theirs.evidence[0]];
  if (a && b && a.statistic === b.statistic) {
    const [here, there] = [lastOf(a), lastOf(b)];
    const number = sayerOf(a.statistic);
    const more = worseBy(a, here, there);
    if (more) return say(more, number(here), number(there));
  }
  const [here, there] = [mine.layers.length, theirs.layers.length];
  return here === there ? { kind: "same", words: "" } : say(here - there, plural(here, "layer"), String(there));
}

/** The last finite value of the decisive row. */
const lastOf = ({ values }: Evidence): number => values.map(([first]) => first).findLast(Number.isFinite) ?? Number.NaN;

/** Above 0: worse. NaN: it cannot be said. A share is worse when larger, another value when it is further from what is expected. */
function worseBy({ statistic, expected }: Evidence, here: number, there: number): number {
  if (statisticOf(statistic).scale === "share") return Math.abs(here - there) < SHARE ? 0 : here - there;
  const usual = expected?.[0] ?? 0;
  if (!(usual > 0 && here > 0 && there > 0)) return 0;
  const away = Math.abs(Math.log(here / usual)) - Math.abs(Math.log(there / usual));
  return Math.abs(away) < Math.log(FACTOR) ? 0 : away;
}

/** "2 new, 1 gone, 3 in both". */
export function tallyOf({ changes, gone }: Diff, findings: readonly Finding[]): string {
  const fresh = findings.filter((finding) => changes.get(finding)?.kind === "new").length;
  return `${fresh} new, ${gone.length} gone, ${findings.length - fresh} in both`;
}
