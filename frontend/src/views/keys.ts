/** The keys that work at this moment: each part of the page that listens says so here, and "?" lists them. */
import { type Signal, signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { useEffect, useHotkeys } from "../base/hooks";
import { sampleAt } from "../data/series";
import * as view from "../data/view";

export interface KeyNote {
  /** Alternatives, or keys to be held together with a pointer gesture. */
  readonly keys: readonly string[];
  readonly text: string;
}

export interface Hotkey extends KeyNote {
  /** One function for each of `keys`, or one for all. */
  readonly run: (key: string) => void;
}

/** The part of the list for keys that work in every lens; it comes first. */
export const EVERYWHERE = "Everywhere";

/** By the part of the page they belong to, in the order they came. */
export const notes: Signal<ReadonlyMap<object, { readonly title: string; readonly notes: readonly KeyNote[] }>> =
  signal(new Map());

/** Keys that are pressed anywhere on the page. */
export function useKeys(title: string, hotkeys: readonly Hotkey[]): void {
  useHotkeys((event) => {
    const hit = hotkeys.find(({ keys }) => keys.includes(event.key));
    if (!hit || (view.helpOpen.peek() && event.key !== "?")) return;
    hit.run(event.key);
    event.preventDefault();
  });
  useKeyNotes(title, hotkeys);
}

/** The pinned step goes to the sample before or after; brackets are out of reach on some keyboards. */
export function stepKeys(steps: Float64Array | undefined, count = steps?.length ?? 0): Hotkey {
  return {
    keys: ["[", "]", ",", "."],
    text: "Previous, next sampled step",
    run: (key) => {
      if (!steps || count === 0) return;
      const next = sampleAt(steps, count, view.step.value) + ("].".includes(key) ? 1 : -1);
      view.step.value = steps[Math.max(0, Math.min(count - 1, next))] as number;
    },
  };
}

/** For a picture over steps. */
export function useStepKeys(steps: Float64Array | undefined, count?: number): void {
  useKeys("Steps", [
    stepKeys(steps, count),
    {
      keys: ["0"],
      text: "Show all steps",
      run: () => {
        view.range.value = null;
      },
    },
  ]);
}

/** Keys and gestures that a part of the page handles by itself, where it has the focus. */
export function useKeyNotes(title: string, list: readonly KeyNote[]): void {
  const owner = useRef({});
  useEffect(() => {
    const key = owner.current;
    notes.value = new Map(notes.peek()).set(key, { title, notes: list });
    return () => {
      const left = new Map(notes.peek());
      left.delete(key);
      notes.value = left;
    };
  }, [title, list.map((note) => note.text).join()]);
}
