/** Findings by a name that stays when the run goes on, and which of them are open. */
import { signal } from "@preact/signals";
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

/**
 * The findings in the order in which they were first shown; what has come since at the end, and named. A list that was
 * empty, or that new ones do not rearrange, has nothing to name.
 */
export function settled(
  items: readonly Keyed[],
  order: readonly string[],
  fresh: ReadonlySet<string>,
): { readonly items: readonly Keyed[]; readonly fresh: ReadonlySet<string> } {
  const there = new Map(items.map((item) => [item.key, item]));
  const kept = order.flatMap((key) => there.get(key) ?? []);
  const known = new Set(order);
  const added = items.filter((item) => !known.has(item.key));
  const named = kept.length > 0 ? [...fresh, ...added.map((item) => item.key)].filter((key) => there.has(key)) : [];
  return { items: [...kept, ...added], fresh: new Set(named) };
}

/** Longer lists begin closed but for the first ones; message and remedy are always in sight. */
const OPEN_AT_FIRST = 2;

/** By run and key, open or not: as it was when it first came, then as the user wants it. Lasts as long as the page. */
const opened = new Map<string, boolean>();
const turned = signal(0);

export function isOpen(run: string, key: string, place: number): boolean {
  turned.value;
  const slot = `${run}\n${key}`;
  const open = opened.get(slot) ?? place < OPEN_AT_FIRST;
  // New findings above it do not close it.
  opened.set(slot, open);
  return open;
}

export function setOpen(run: string, key: string, open: boolean): void {
  opened.set(`${run}\n${key}`, open);
  turned.value++;
}

/** Opens a finding and all that it is an effect of. */
export function reveal(run: string, key: string): void {
  const parts = key.split(">");
  parts.forEach((_, i) => {
    setOpen(run, parts.slice(0, i + 1).join(">"), true);
  });
}
