/** Name, lenses, run, range of steps, search: what is the same whatever one looks at. */
import { useEffect, useState } from "preact/hooks";
import { runs, store } from "../data/session";
import * as view from "../data/view";
import { LENSES, lensOf } from "../lenses/registry";
import { Mark, SearchIcon } from "./icons";

export function Header() {
  const chosen = lensOf(view.lens.value);
  return (
    <header class="header">
      <span class="brand">
        <Mark />
        <span class="brand-name">torchvitals</span>
      </span>
      <div class="tabs" role="tablist" aria-label="Lenses">
        {LENSES.map((lens, i) => (
          <button
            key={lens.id}
            type="button"
            role="tab"
            aria-selected={lens === chosen}
            data-testid={`lens-${lens.id}`}
            title={`${lens.title} (${i + 1})`}
            onClick={() => {
              view.lens.value = lens.id;
            }}
          >
            {lens.title}
          </button>
        ))}
      </div>
      <span class="spring" />
      <RunSelect />
      <StepRange />
      <label class="search">
        <SearchIcon />
        <input
          id="search"
          type="search"
          placeholder="Find layer"
          aria-label="Find layer"
          value={view.search.value}
          onInput={(event) => {
            view.search.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            view.search.value = "";
            event.currentTarget.blur();
          }}
        />
        <kbd>/</kbd>
      </label>
      <button
        type="button"
        class="button round"
        aria-label="Keys"
        title="Keys (?)"
        onClick={() => {
          view.helpOpen.value = true;
        }}
      >
        ?
      </button>
    </header>
  );
}

function RunSelect() {
  const list = runs.value?.runs ?? [];
  const name = view.run.value;
  const known = list.some((run) => run.name === name);
  if (list.length === 0 && name === null) return null;
  const place = list.findIndex((run) => run.name === name);
  return (
    <label class="run">
      <span class={`run-dot hue-${Math.max(0, place) % 8}`} aria-hidden="true" />
      <select
        class="field"
        data-testid="run-select"
        aria-label="Run"
        title={name ?? ""}
        value={name ?? ""}
        onChange={(event) => view.chooseRun(event.currentTarget.value)}
      >
        {!known && name !== null && <option value={name}>{name || "."}</option>}
        {list.map((run) => (
          <option key={run.name} value={run.name}>
            {run.name || "."}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The range of steps as numbers, for those who know where to look. */
function StepRange() {
  const manifest = store.value?.manifest.value;
  if (!manifest) return null;
  const [from, to] = view.range.value ?? [manifest.firstStep, manifest.lastStep];
  const set = (a: number, b: number) => {
    const whole = a <= manifest.firstStep && b >= manifest.lastStep;
    view.range.value = whole ? null : a < b ? [a, b] : view.range.peek();
  };
  return (
    <fieldset class="steps">
      <legend class="visually-hidden">Range of steps</legend>
      <span class="muted">Steps</span>
      <StepField label="First step" value={from} onChange={(value) => set(value, to)} />
      <span class="muted">–</span>
      <StepField label="Last step" value={to} onChange={(value) => set(from, value)} />
      <button
        type="button"
        class="button"
        title="Show all steps (0)"
        disabled={view.range.value === null}
        onClick={() => {
          view.range.value = null;
        }}
      >
        All
      </button>
    </fieldset>
  );
}

function StepField({ label, value, onChange }: { label: string; value: number; onChange: (value: number) => void }) {
  const [text, setText] = useState(String(value));
  useEffect(() => setText(String(value)), [value]);
  const commit = () => {
    const number = Number(text.replaceAll(",", ""));
    if (text.trim() !== "" && Number.isFinite(number)) onChange(Math.round(number));
    setText(String(value));
  };
  return (
    <input
      class="field step"
      inputMode="numeric"
      aria-label={label}
      value={text}
      style={{ width: `${Math.max(5, text.length + 2)}ch` }}
      onInput={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === "Enter" && commit()}
    />
  );
}
