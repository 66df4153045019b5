import { useState } from "preact/hooks";
import { store } from "../data/session";
import * as view from "../data/view";

/** The range of steps as numbers, for those who know where to look. */
export function StepRange() {
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
      <span class="muted steps-word">Steps</span>
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
  /** While it is typed; a run that grows leaves it alone. */
  const [typed, setTyped] = useState<string | null>(null);
  const text = typed ?? String(value);
  const commit = () => {
    const number = Number(text.replaceAll(",", ""));
    if (typed?.trim() && Number.isFinite(number)) onChange(Math.round(number));
    setTyped(null);
  };
  return (
    <input
      class="field step"
      inputMode="numeric"
      aria-label={label}
      value={text}
      style={{ width: `${Math.max(5, text.length + 2)}ch` }}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === "Enter" && commit()}
    />
  );
}
