import { useEffect } from "../base/hooks";
import type { RunStore } from "../data/run_store";

/** After what is on screen stands and the user has begun to read. */
const AHEAD_MS = 500;

/** Fetches the statistics that will be asked for next, while nothing else is: `names` is null as long as something is. */
export function useFetchAhead(run: RunStore | null, names: (() => readonly string[]) | null, on: unknown): void {
  useEffect(() => {
    if (!run || !names) return;
    let stopped = false;
    const timer = setTimeout(() => {
      void run.fetchAhead(names(), () => !stopped).then(() => stopped || run.dead());
    }, AHEAD_MS);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [run, names !== null, on]);
}
