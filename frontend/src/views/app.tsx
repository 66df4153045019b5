/** The frame: header, what is wrong if anything is, and the chosen lens. */

import type { Signal } from "@preact/signals";
import { formatCount } from "../base/format";
import { goneRuns, problem, retry, runs, store, unknownRun, unknownVersus } from "../data/session";
import * as view from "../data/view";
import { LENSES, lensOf } from "../lenses/registry";
import { Banner } from "./banner";
import { EmptyState } from "./empty_state";
import { Header } from "./header";
import { Inspector } from "./inspector";
import { EVERYWHERE, useKeys } from "./keys";
import { KeysHelp } from "./keys_help";
import { PANEL } from "./tabs";
import { Waiting } from "./waiting";

export function App() {
  useKeys(EVERYWHERE, [
    ...LENSES.map((lens, i) => ({
      keys: [String(i + 1)],
      text: lens.title,
      run: () => {
        view.lens.value = lens.id;
      },
    })),
    {
      keys: ["/"],
      text: "Find a layer",
      run: () => document.querySelector<HTMLInputElement>("#search")?.focus(),
    },
    { keys: ["t"], text: "Pictures or tables", run: () => flip(view.table) },
    { keys: ["i"], text: "Everything about the selected layer", run: () => flip(view.inspector) },
    { keys: ["?"], text: "This list", run: () => flip(view.helpOpen) },
  ]);
  const empty = runs.value !== null && runs.value.runs.length === 0 && goneRuns.value.length === 0;
  const chosen = lensOf(view.lens.value);
  const Lens = chosen.component;
  return (
    <div class="app">
      <Header />
      <Banners />
      <div class="stage">
        <main id="stage" class="main">
          <div id={PANEL} class="panel" role="tabpanel" aria-labelledby={`tab-${chosen.id}`}>
            {empty ? <EmptyState /> : store.value ? <Lens key={store.value.name} /> : <Waiting />}
          </div>
        </main>
        {view.inspector.value && !empty && store.value && <Inspector run={store.value} />}
      </div>
      <KeysHelp />
      <p id="picture-keys" class="visually-hidden">
        Arrow keys move the cursor; ? lists all keys
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
      {unknownVersus.value && (
        <Banner
          severity="warning"
          onClose={() => {
            unknownVersus.value = null;
          }}
        >
          There is no run “{unknownVersus.value.name}” here to compare with
        </Banner>
      )}
      {goneRuns.value.length > 0 && (
        <Banner severity="warning">
          {goneRuns.value.map((name) => `“${name || "."}”`).join(" and ")} is no longer in the log directory; showing
          what was loaded
        </Banner>
      )}
      {manifest?.newerSchema && (
        <Banner severity="warning">
          This run was written by a newer torchvitals; update it where TensorBoard runs to see all
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

function flip(value: Signal<boolean>): void {
  value.value = !value.peek();
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
