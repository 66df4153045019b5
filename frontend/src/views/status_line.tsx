/** The line at the bottom: the cursor's readout on the left, the state of the data on the right. */
import type { ComponentChildren } from "preact";
import { formatCount } from "../base/format";
import { lost } from "../data/api";
import { store } from "../data/session";

export interface CursorLineProps {
  /** For tests and scripts: what is under the cursor, exact. */
  readonly data?: Readonly<Record<`data-${string}`, string | number | undefined>>;
  /** Said out loud: it was moved by keys, not by the pointer. */
  readonly loud?: boolean;
  readonly children?: ComponentChildren;
}

export function CursorLine({ data, loud = false, children }: CursorLineProps) {
  const manifest = store.value?.manifest.value;
  return (
    <footer class="status">
      <div class="status-readout">
        <span data-testid="cursor-readout" {...data} aria-live={loud ? "polite" : "off"}>
          {children}
        </span>
      </div>
      {lost.value ? (
        <span class="status-lost" role="status">
          The server does not answer; showing what was loaded, trying again
        </span>
      ) : (
        manifest && (
          <span class="muted">Data to step {formatCount(manifest.lastStep)} · refreshed every few seconds</span>
        )
      )}
    </footer>
  );
}
