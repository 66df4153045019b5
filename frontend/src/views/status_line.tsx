/** The line at the bottom: the cursor's readout on the left, the state of the data on the right. */
import type { ComponentChildren } from "preact";
import { formatCount } from "../base/format";
import { lost, store } from "../data/session";

export function StatusLine({ children }: { children: ComponentChildren }) {
  const manifest = store.value?.manifest.value;
  return (
    <footer class="status">
      <div class="status-readout">{children}</div>
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
