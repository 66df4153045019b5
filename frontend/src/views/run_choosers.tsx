/** Which run is on screen, and which one beside it. */
import { runs } from "../data/session";
import * as view from "../data/view";
import { type Option, Select } from "./controls";
import { Chevron } from "./icons";

export function RunSelect() {
  const list = runs.value?.runs ?? [];
  const name = view.run.value;
  if (list.length === 0 && name === null) return null;
  const names = list.map((run) => run.name);
  if (name !== null && !names.includes(name)) names.unshift(name);
  return (
    <span class="run">
      <Chooser
        testid="run-select"
        label="Run"
        chosen={name ?? ""}
        options={names.map((n) => [n, n || "."])}
        onChoose={view.chooseRun}
      />
    </span>
  );
}

/** A second run: every lens shows it beside the first or as the difference. */
export function VersusSelect() {
  const names = (runs.value?.runs ?? []).map((run) => run.name).filter((name) => name !== view.run.value);
  const name = view.versus.value;
  if (names.length === 0 && name === null) return null;
  return (
    <span class={name === null ? "run none" : "run"}>
      <span class="muted">vs</span>
      <Chooser
        testid="versus-select"
        label="Compare with run"
        chosen={name === null ? "" : `=${name}`}
        options={[["", "–"], ...names.map((n): Option<string> => [`=${n}`, n || "."])]}
        onChoose={(chosen) => {
          view.versus.value = chosen === "" ? null : chosen.slice(1);
        }}
      />
    </span>
  );
}

interface ChooserProps {
  readonly testid: string;
  readonly label: string;
  readonly chosen: string;
  readonly options: readonly Option<string>[];
  readonly onChoose: (value: string) => void;
}

/**
 * The browser's own list of choices, under our own text: names of runs are paths, so the end tells them apart, and a
 * list cuts off just that.
 */
function Chooser({ options, ...rest }: ChooserProps) {
  const shown = options.find(([value]) => value === rest.chosen)?.[1] ?? "";
  return (
    <span class="field chooser" title={`${rest.label}: ${shown}`}>
      <span class="chooser-text" aria-hidden="true">
        <bdi>{shown}</bdi>
      </span>
      <Chevron open />
      <Select {...rest} class="" groups={[["", options]]} />
    </span>
  );
}
