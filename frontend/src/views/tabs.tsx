/** The lenses as tabs (W3C authoring practices): one stop for Tab, arrows go from one to the next. */
import { useRef } from "preact/hooks";
import * as view from "../data/view";
import { LENSES, lensOf } from "../lenses/registry";

export const PANEL = "lens-panel";

export function Tabs() {
  const list = useRef<HTMLDivElement>(null);
  const chosen = lensOf(view.lens.value);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = LENSES.indexOf(chosen);
    const last = LENSES.length - 1;
    const moves: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const place = (to + LENSES.length) % LENSES.length;
    view.lens.value = LENSES[place]?.id ?? null;
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[place]?.focus();
  };
  return (
    <div ref={list} class="tabs" role="tablist" aria-label="Lenses" onKeyDown={onKeyDown}>
      {LENSES.map((lens, i) => (
        <button
          key={lens.id}
          id={`tab-${lens.id}`}
          type="button"
          role="tab"
          aria-selected={lens === chosen}
          aria-controls={PANEL}
          tabIndex={lens === chosen ? 0 : -1}
          data-testid={`lens-${lens.id}`}
          title={`${lens.title} (${i + 1})`}
          onClick={() => {
            view.lens.value = lens.id;
          }}
        >
          {lens.short ?? lens.title}
          {lens.short && <span class="tab-rest">{lens.title.slice(lens.short.length)}</span>}
        </button>
      ))}
    </div>
  );
}
