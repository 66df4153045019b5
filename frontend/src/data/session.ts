/** The runs of this log directory, the one on screen, and keeping both fresh. */
import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import { failureOf, fetchRuns, lost } from "./api";
import { watchVisible } from "./host";
import type { Runs } from "./manifest";
import { RunStore } from "./run_store";
import { shareMemory } from "./statistic_cache";
import * as view from "./view";

const POLL_MS = 4000;

export const runs: Signal<Runs | null> = signal(null);
export const store: Signal<RunStore | null> = signal(null);
/** The run to compare with, if one is chosen. */
export const other: Signal<RunStore | null> = signal(null);
export const failure: Signal<string | null> = signal(null);
/** A run that the address names and the server does not have. */
export const unknownRun: Signal<string | null> = signal(null);
/** The same of a run to compare with, and the run it was to be compared with. */
export const unknownVersus: Signal<{ readonly name: string; readonly of: string | null } | null> = signal(null);
/** Runs on screen that the server has no longer. What was loaded stays. */
export const goneRuns: Signal<readonly string[]> = signal([]);

/** The one thing that is wrong, for the banner. */
export const problem = computed(() => failure.value ?? store.value?.error.value ?? null);

export function startSession(): void {
  // A link that names its run need not wait for the list: everything is asked for at once.
  if (view.run.peek()) open(view.run.peek() as string);
  effect(() => {
    const name = view.run.value;
    if (name !== null && store.peek()?.name !== name) open(name);
  });
  effect(() => {
    const name = view.versus.value;
    if (name === (other.peek()?.name ?? null)) return;
    other.value = name === null ? null : opened(name);
    shareMemory(name === null ? 1 : 2);
  });
  // Of a longer run, or typed: every lens would show something else of it.
  effect(() => {
    const manifest = store.value?.manifest.value;
    if (!manifest?.samples) return;
    const outside = (from: number, to: number) => from > manifest.lastStep || to < manifest.firstStep;
    const [range, step] = [view.range.value, view.step.value];
    if (range && outside(...range)) view.range.value = null;
    if (step !== null && outside(step, step)) view.step.value = null;
  });
  void poll();
  let visible = true;
  watchVisible((now) => {
    const back = now && !visible;
    visible = now;
    if (back) void poll();
  });
  setInterval(() => visible && void poll(), POLL_MS);
}

/** The run looked at before: going back to it costs nothing. */
let left: RunStore | null = null;

function open(name: string): void {
  const before = store.peek();
  store.value = opened(name);
  if (!before || before === other.peek()) return;
  before.trim();
  left = before;
}

function opened(name: string): RunStore {
  const kept = [store.peek(), other.peek(), left].find((s) => s?.name === name && s.error.peek() === null);
  if (kept) {
    const known = runs.peek();
    if (known) void catchUp(kept, known);
    return kept;
  }
  const next = new RunStore(name);
  void next.load();
  return next;
}

let polling = false;

export async function poll(): Promise<void> {
  if (polling) return;
  polling = true;
  try {
    const found = await fetchRuns();
    const back = lost.peek();
    batch(() => {
      lost.value = false;
      failure.value = null;
      if (JSON.stringify(found) !== JSON.stringify(runs.peek())) runs.value = found;
      choose(found);
    });
    if (back) for (const shown of [store, other]) shown.peek()?.retry();
    for (const shown of [store, other]) await catchUp(shown.peek(), found);
  } catch (error) {
    failure.value = failureOf(error);
  } finally {
    polling = false;
  }
}

/** What a link asked for before another run had to be shown in its place. */
let asked: { readonly run: string; readonly back: () => void } | null = null;
/** The run shown in its place. */
let instead: string | null = null;

/**
 * Keeps the chosen runs. One that is loaded is kept even if it is gone: a server that has just started finds its runs
 * one after the other, and nobody wants to lose what they look at. Without a run, or if a link names one that is not
 * here, takes the one written last, until that one appears.
 */
function choose(found: Runs): void {
  const known = (name: string) => found.runs.some((r) => r.name === name);
  const gone = [store.peek(), other.peek()].filter((s) => s !== null && s.manifest.peek() !== null && !known(s.name));
  const names = gone.map((s) => (s as RunStore).name);
  if (names.join("\n") !== goneRuns.peek().join("\n")) goneRuns.value = names;
  if (found.runs.length === 0) return;
  const missing = (name: string | null) => name !== null && !known(name) && !names.includes(name);
  const chosen = view.run.peek();
  if (chosen === null || missing(chosen)) {
    if (chosen !== null) {
      unknownRun.value = chosen;
      asked = { run: chosen, back: view.wayBack() };
    }
    const newest = found.runs.reduce((a, b) => (writtenAt(b.version) > writtenAt(a.version) ? b : a));
    view.chooseRun(newest.name);
    instead = newest.name;
  } else if (unknownRun.peek() !== null && known(unknownRun.peek() as string)) {
    unknownRun.value = null;
    if (asked && known(asked.run) && chosen === instead) asked.back();
    asked = null;
  }
  const [now, compared, absent] = [view.run.peek(), view.versus.peek(), unknownVersus.peek()];
  if (compared === now) view.versus.value = null;
  else if (missing(compared)) {
    unknownVersus.value = { name: compared as string, of: now };
    view.versus.value = null;
  } else if (absent && known(absent.name)) {
    if (absent.of === now) view.versus.value ??= absent.name;
    unknownVersus.value = null;
  }
}

function writtenAt(version: string): number {
  return Number(/-([\d.]+)$/.exec(version)?.[1] ?? 0);
}

async function catchUp(shown: RunStore | null, found: Runs): Promise<void> {
  const info = found.runs.find((r) => r.name === shown?.name);
  const manifest = shown?.manifest.peek();
  if (!shown || !info) return;
  if (!manifest) {
    // The first answer may still be on its way; after a lost server it never came.
    if (!shown.error.peek() && !shown.loading) await shown.load();
    return;
  }
  if (manifest.version !== info.version) await shown.refresh();
}

export function retry(): void {
  failure.value = null;
  for (const shown of [store, other]) shown.peek()?.retry();
  void poll();
}
