/** A unit's life in words: "born alive, silent steps 24–61, revived, dead since step 105; last active step 104". */
import { formatCount, plural } from "../../base/format";
import { lifeOf, type Silence } from "../../data/lives";
import type { UnitData } from "../../data/units";

/** More silences than these are counted, not listed. */
const LISTED = 3;

export function lifeInWords(data: UnitData, states: Uint8Array, unit: number, byMagnitude: boolean): string {
  const { silences, records, lastActive } = lifeOf(data, states, unit, byMagnitude);
  const [quiet, awake] = byMagnitude ? ["dormant", "recovered"] : ["silent", "revived"];
  const dead = data.dead[unit] === 1;
  if (records === 0) return "nothing is known of it, the layer never ran";
  if (Number.isNaN(lastActive)) {
    return `born ${dead ? "dead" : quiet}, never active in ${plural(records, "record")}`;
  }
  const past = silences.filter((silence) => !silence.open);
  const [first] = silences;
  const parts = [`born ${first?.from === null ? quiet : "alive"}`];
  if (past.length > LISTED) {
    const last = past[past.length - 1] as Silence;
    const from = past[0]?.from ?? null;
    const span = from === null ? `up to step ${formatCount(last.to)}` : `in steps ${range(from, last.to)}`;
    parts.push(`${quiet} ${formatCount(past.length)} times ${span}, ${awake} each time`);
  } else {
    for (const { from, to } of past) {
      if (from === null) parts.push(`first active after step ${formatCount(to)}`);
      else parts.push(`${quiet} ${from === to ? `at step ${formatCount(to)}` : `steps ${range(from, to)}`}`, awake);
    }
  }
  const now = silences.find((silence) => silence.open);
  if (!now) return `${parts.join(", ")}${past.length === 0 ? `, never ${quiet}` : ""}; active to the last record`;
  const since = `since step ${formatCount(now.from ?? 0)}`;
  if (dead && !byMagnitude) parts.push(`dead ${since}`);
  else if (byMagnitude) parts.push(`${quiet} ${since}`);
  else parts.push(`${quiet} ${since}, too short a time to call it dead`);
  return `${parts.join(", ")}; last active step ${formatCount(lastActive)}`;
}

const range = (from: number, to: number): string => `${formatCount(from)}–${formatCount(to)}`;
