/** What lies under the cursor, for the line at the bottom: a moving pointer changes that text and nothing else. */
import { signal } from "@preact/signals";
import { useEffect } from "../../base/hooks";

export const readout = signal("");

export function useReadout(said: string): void {
  useEffect(() => {
    readout.value = said;
    return () => {
      readout.value = "";
    };
  }, [said]);
}
