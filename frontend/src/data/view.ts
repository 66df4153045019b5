/**
 * The one selection all lenses share, as signals mirrored in the address.
 */
import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import type { AxisKind } from "../base/step_axis";
import { onHashChange, readFields, writeFields } from "./host";
import { formatView, parseView, type ViewState } from "./url_state";

export const run: Signal<string | null> = signal(null);
export const lens: Signal<string | null> = signal(null);
export const stat: Signal<string | null> = signal(null);
/** The selected row, as `addressOf` writes it. */
export const layer: Signal<string | null> = signal(null);
/** The pinned step; null follows the newest. */
export const step: Signal<number | null> = signal(null);
export const range: Signal<readonly [number, number] | null> = signal(null);
export const axis: Signal<AxisKind> = signal("linear");
export const table: Signal<boolean> = signal(false);
export const finding: Signal<string | null> = signal(null);

/** Not in the address: these last as long as the page. */
export const search: Signal<string> = signal("");
export const helpOpen: Signal<boolean> = signal(false);

const current = computed<ViewState>(() => ({
  run: run.value,
  lens: lens.value,
  stat: stat.value,
  layer: layer.value,
  step: step.value,
  range: range.value,
  axis: axis.value,
  table: table.value,
  finding: finding.value,
}));

function apply(view: ViewState): void {
  batch(() => {
    run.value = view.run ?? run.peek();
    lens.value = view.lens;
    stat.value = view.stat;
    layer.value = view.layer;
    step.value = view.step;
    if (String(view.range) !== String(range.peek())) range.value = view.range;
    axis.value = view.axis;
    table.value = view.table;
    finding.value = view.finding;
  });
}

/** Reads the address once, then keeps the two the same. */
export function connectAddress(): void {
  apply(parseView(readFields()));
  onHashChange(() => apply(parseView(readFields())));
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const fields = formatView(current.value);
    // Browsers limit how often history may be written; a drag changes the view sixty times a second.
    clearTimeout(timer);
    timer = setTimeout(() => writeFields(fields), 120);
  });
}

/** Another run: what was chosen stays chosen where it can, but steps and findings mean nothing in another run. */
export function chooseRun(name: string): void {
  batch(() => {
    run.value = name;
    step.value = null;
    range.value = null;
    finding.value = null;
  });
}
