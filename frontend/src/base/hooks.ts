/** Preact hooks without knowledge of the application. */
import type { RefObject } from "preact";
import * as preact from "preact/hooks";
import { useCallback, useRef, useState } from "preact/hooks";
import { drawings } from "./canvas";

/**
 * As Preact's three of these names, but for what they keep: Preact keeps the function too, until it is needed anew, and
 * with it all that was in sight where it was written. A model of some 20 MB that an old render saw would stay.
 */
export function useMemo<T>(make: () => T, of: readonly unknown[]): T {
  const kept = useRef<{ readonly of: readonly unknown[]; readonly value: T } | null>(null);
  const before = kept.current;
  if (before && of.length === before.of.length && of.every((x, i) => Object.is(x, before.of[i]))) return before.value;
  const value = make();
  kept.current = { of, value };
  return value;
}

export function useEffect(effect: preact.EffectCallback, of?: readonly unknown[]): void {
  preact.useEffect(useOnce(effect), of as unknown[]);
}

export function useLayoutEffect(effect: preact.EffectCallback, of?: readonly unknown[]): void {
  preact.useLayoutEffect(useOnce(effect), of as unknown[]);
}

/** The newest render's effect, forgotten once it has run. */
function useOnce(effect: preact.EffectCallback): preact.EffectCallback {
  const latest = useRef<preact.EffectCallback | null>(null);
  latest.current = effect;
  return () => {
    const now = latest.current;
    latest.current = null;
    return now?.();
  };
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The element's content size in whole CSS pixels, 0 × 0 before it is laid out or while it is hidden. */
export function useSize<T extends HTMLElement>(ref: RefObject<T | null>): Size {
  const { attach, ...size } = useMeasure<T>();
  useLayoutEffect(() => attach(ref.current), [ref]);
  return size;
}

/** The same for an element that may be replaced by another: hand `attach` to it as its ref. */
export function useMeasure<T extends HTMLElement>(): Size & { readonly attach: (element: T | null) => void } {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const observer = useRef<ResizeObserver | null>(null);
  const attach = useCallback((element: T | null) => {
    observer.current?.disconnect();
    if (!element) return;
    const measure = () => {
      const next = { width: Math.floor(element.clientWidth), height: Math.floor(element.clientHeight) };
      setSize((old) => (old.width === next.width && old.height === next.height ? old : next));
    };
    measure();
    observer.current = new ResizeObserver(measure);
    observer.current.observe(element);
  }, []);
  useEffect(() => () => observer.current?.disconnect(), []);
  return { ...size, attach };
}

/** Runs `draw` after every render, with its canvas. Drawing is cheap and idempotent; there is no animation loop. */
export function useCanvas(draw: (canvas: HTMLCanvasElement) => void): RefObject<HTMLCanvasElement | null> {
  const ref = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const canvas = ref.current;
    if (!canvas) return;
    draw(canvas);
    drawings.set(canvas, () => draw(canvas));
    return () => drawings.delete(canvas);
  });
  return ref;
}

/** Of a frame for what may wait. */
const PART_MS = 6;

/**
 * The value, one painted frame late: for what may be drawn after the main picture. What that needs is made before, in
 * parts, so few a frame that nothing else has to wait.
 */
export function useLate<T>(value: T, make: () => Iterator<unknown>): T | null {
  const [late, setLate] = useState<T | null>(null);
  useEffect(() => {
    const parts = make();
    const go = () => {
      const end = performance.now() + PART_MS;
      while (performance.now() < end) if (parts.next().done) return setLate(() => value);
      frame = requestAnimationFrame(go);
    };
    // Two frames: the first paints what has just been rendered.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(go);
    });
    return () => cancelAnimationFrame(frame);
  }, [value]);
  return late;
}

/** Calls `handler` on every key press in the page that was not typed into a field. */
export function useHotkeys(handler: (event: KeyboardEvent) => void): void {
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!isEditable(event.target)) latest.current(event);
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}

function isEditable(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
