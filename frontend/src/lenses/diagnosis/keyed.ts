/** Findings by a name that stays when the run goes on, and which of them are open. */
import { type Signal, signal } from "@preact/signals";
import type { Finding } from "../../data/diagnosis";

export interface Keyed {
  readonly key: string;
  readonly finding: Finding;
}

/** A kind and its first layer say which finding it is; `above`: the key of what explains it. */
export function keyed(findings: readonly Finding[], above = ""): Keyed[] {
  const seen = new Map<string, number>();
  return findings.map((finding) => {
    const name = `${above && `${above}>`}${finding.code}:${finding.layers[0] ?? ""}`;
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return { key: times > 1 ? `${name}#${times}` : name, finding };
  });
}

/** Longer lists begin closed but for the first ones; message and remedy are always in sight. */
const OPEN_AT_FIRST = 2;

/** By run and key; lasts as long as the page. */
const toggled: Signal<ReadonlyMap<string, boolean>> = signal(new Map());
/** What a finding was when it first came: new findings above it do not close it. */
const begun = new Map<string, boolean>();

export function isOpen(run: string, key: string, place: number): boolean {
  const slot = `${run}\n${key}`;
  const chosen = toggled.value.get(slot);
  if (chosen !== undefined) return chosen;
  const first = begun.get(slot) ?? place < OPEN_AT_FIRST;
  begun.set(slot, first);
  return first;
}

export function setOpen(run: string, key: string, open: boolean): void {
  toggled.value = new Map(toggled.peek()).set(`${run}\n${key}`, open);
}

/** Opens a finding and all that it is an effect of. */
export function reveal(run: string, key: string): void {
  const next = new Map(toggled.peek());
  const parts = key.split(">");
  parts.forEach((_, i) => {
    next.set(`${run}\n${parts.slice(0, i + 1).join(">")}`, true);
  });
  toggled.value = next;
}
