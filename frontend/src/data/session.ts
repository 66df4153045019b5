/** The runs of this log directory, the one on screen, and keeping both fresh. */
import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import { ApiError, fetchRuns } from "./api";
import { onReload, watchVisible } from "./host";
import type { Runs } from "./manifest";
import { RunStore } from "./run_store";
import * as view from "./view";

const POLL_MS = 4000;

export const runs: Signal<Runs | null> = signal(null);
export const store: Signal<RunStore | null> = signal(null);
/** The server did not answer the last time it was asked. */
export const lost: Signal<boolean> = signal(false);
export const failure: Signal<string | null> = signal(null);
/** A run that the address names and the server does not have. */
export const unknownRun: Signal<string | null> = signal(null);

/** The one thing that is wrong, for the banner. */
export const problem = computed(() => failure.value ?? store.value?.error.value ?? null);

export function startSession(): void {
  // A link that names its run need not wait for the list: everything is asked for at once.
  if (view.run.peek()) open(view.run.peek() as string);
  effect(() => {
    const name = view.run.value;
    if (name !== null && store.peek()?.name !== name) open(name);
  });
  void poll();
  let visible = true;
  watchVisible((now) => {
    const back = now && !visible;
    visible = now;
    if (back) void poll();
  });
  onReload(() => void poll());
  setInterval(() => visible && void poll(), POLL_MS);
}

function open(name: string): void {
  const next = new RunStore(name);
  store.value = next;
  void next.load();
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
    if (back) store.peek()?.retry();
    await catchUp(found);
  } catch (error) {
    if (error instanceof ApiError && error.status === 0) lost.value = true;
    else failure.value = error instanceof Error ? error.message : String(error);
  } finally {
    polling = false;
  }
}

/** Keeps the chosen run; without one, or if it is gone, takes the one written last. */
function choose(found: Runs): void {
  const chosen = view.run.peek();
  if (found.runs.length === 0 || found.runs.some((r) => r.name === chosen)) {
    if (chosen !== unknownRun.peek() && found.runs.length > 0) unknownRun.value = null;
    return;
  }
  if (chosen !== null) unknownRun.value = chosen;
  const newest = found.runs.reduce((a, b) => (writtenAt(b.version) > writtenAt(a.version) ? b : a));
  view.chooseRun(newest.name);
}

function writtenAt(version: string): number {
  return Number(/-([\d.]+)$/.exec(version)?.[1] ?? 0);
}

async function catchUp(found: Runs): Promise<void> {
  const shown = store.peek();
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
  store.peek()?.retry();
  void poll();
}
