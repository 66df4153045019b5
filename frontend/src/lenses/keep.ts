/** What stays on screen while something else is on its way. */
import { useRef } from "preact/hooks";

/** Room for one thing, empty again with another key. */
function useKept<T>(key: string): { value: T | null } {
  const kept = useRef<{ readonly key: string; value: T | null }>({ key, value: null });
  if (kept.current.key !== key) kept.current = { key, value: null };
  return kept.current;
}

/** What was there last stays until the next is here. */
export function useLatest<T>(value: T | null, key = ""): T | null {
  const kept = useKept<T>(key);
  kept.value = value ?? kept.value;
  return kept.value;
}

/** Found once for each key: new data do not take another layer under the reader's eyes. */
export function useSticky<T>(key: string, find: () => T | null): T | null {
  const kept = useKept<T>(key);
  kept.value ??= find();
  return kept.value;
}
