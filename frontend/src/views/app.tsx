/** The frame: header, what is wrong if anything is, and the chosen lens. */

import { formatCount } from "../base/format";
import { useHotkeys } from "../base/hooks";
import { problem, retry, runs, store, unknownRun } from "../data/session";
import * as view from "../data/view";
import { LENSES, lensOf } from "../lenses/registry";
import { Banner } from "./banner";
import { EmptyState } from "./empty_state";
import { Header } from "./header";
import { KeysHelp } from "./keys_help";

export function App() {
  useHotkeys((event) => {
    const lens = LENSES[Number(event.key) - 1];
    if (lens && event.key !== "0") view.lens.value = lens.id;
    else if (event.key === "t") view.table.value = !view.table.peek();
    else if (event.key === "?") view.helpOpen.value = !view.helpOpen.peek();
    else if (event.key === "Escape") view.helpOpen.value = false;
    else if (event.key === "/") document.querySelector<HTMLInputElement>("#search")?.focus();
    else return;
    event.preventDefault();
  });
  const empty = runs.value !== null && runs.value.runs.length === 0;
  const Lens = lensOf(view.lens.value).component;
  return (
    <div class="app">
      <Header />
      <Banners />
      <main class="main">{empty ? <EmptyState /> : store.value ? <Lens key={store.value.name} /> : null}</main>
      <KeysHelp />
      <p id="heat-keys" class="visually-hidden">
        Arrow keys move the cursor by one row or one sampled step
      </p>
    </div>
  );
}

function Banners() {
  const manifest = store.value?.manifest.value;
  const missing = manifest ? manifest.written - manifest.read : 0;
  return (
    <>
      {problem.value && (
        <Banner severity="critical" action="Try again" onAction={retry}>
          {sentence(problem.value)}
        </Banner>
      )}
      {unknownRun.value !== null && (
        <Banner
          severity="warning"
          onClose={() => {
            unknownRun.value = null;
          }}
        >
          There is no run “{unknownRun.value}” here; showing “{store.value?.name}”
        </Banner>
      )}
      {manifest?.newerSchema && (
        <Banner severity="warning">
          This run was written by a newer torchvitals; what this version understands is shown. Update torchvitals where
          TensorBoard runs to see the rest
        </Banner>
      )}
      {manifest && missing > 0 && (
        <Banner severity="warning">
          TensorBoard kept {formatCount(manifest.read)} of {formatCount(manifest.written)} samples, so there are gaps.
          Start it with <code>--samples_per_plugin torchvitals=0</code> to see all
        </Banner>
      )}
    </>
  );
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
