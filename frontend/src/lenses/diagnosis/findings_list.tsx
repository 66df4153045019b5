/** The findings, worst first: by severity if there are several, by layer if one is searched for. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { formatCount } from "../../base/format";
import { type Finding, SEVERITIES, type Severity } from "../../data/diagnosis";
import * as view from "../../data/view";
import { SeverityIcon } from "../../views/icons";
import { FindingItem, type Setting } from "./finding_item";
import { keyed, reveal } from "./keyed";
import { SEVERITY_WORDS } from "./words";

export function FindingsList(setting: Setting) {
  const { findings } = setting.diagnosis;
  const severity = useSignal<Severity | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const items = useMemo(() => keyed(findings), [findings]);
  const present = SEVERITIES.filter((s) => findings.some((f) => f.severity === s));
  const chosen = severity.value !== null && present.includes(severity.value) ? severity.value : null;
  const search = view.search.value.trim().toLowerCase();
  const shown = items.filter(
    ({ finding }) => (chosen === null || finding.severity === chosen) && (search === "" || concerns(finding, search)),
  );

  // A link to a finding, or coming back from its picture: it is open and in sight.
  useEffect(() => {
    const key = view.finding.peek();
    if (key === null) return;
    reveal(setting.manifest.run, key);
    requestAnimationFrame(() => {
      const all = list.current?.querySelectorAll<HTMLElement>("[data-key]") ?? [];
      Array.from(all)
        .find((element) => element.dataset.key === key)
        ?.scrollIntoView({ block: "nearest" });
    });
  }, []);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the arrows move between the buttons inside
    <div class="findings" ref={list} onKeyDown={(event) => move(event, list.current)}>
      {present.length > 1 && (
        <div class="segmented findings-filter" role="group" aria-label="Findings to list">
          <Choice label="All" count={findings.length} pressed={chosen === null} onClick={() => choose(null)} />
          {present.map((s) => (
            <Choice
              key={s}
              severity={s}
              label={SEVERITY_WORDS[s]}
              count={findings.filter((f) => f.severity === s).length}
              pressed={chosen === s}
              onClick={() => choose(s)}
            />
          ))}
        </div>
      )}
      {shown.map((item) => (
        <FindingItem key={item.key} {...setting} item={item} place={items.indexOf(item)} level={2} />
      ))}
      {shown.length === 0 && <p class="findings-none muted">No finding concerns a layer of that name</p>}
    </div>
  );

  function choose(next: Severity | null): void {
    severity.value = next;
  }
}

function Choice(props: { severity?: Severity; label: string; count: number; pressed: boolean; onClick: () => void }) {
  return (
    <button type="button" aria-pressed={props.pressed} onClick={props.onClick}>
      {props.severity && <SeverityIcon severity={props.severity} />}
      {props.label} <span class="muted">{formatCount(props.count)}</span>
    </button>
  );
}

export function concerns(finding: Finding, needle: string): boolean {
  return (
    finding.layers.some((name) => name.toLowerCase().includes(needle)) ||
    finding.effects.some((effect) => concerns(effect, needle))
  );
}

/** From one finding to the next with the arrows; Tab goes through all there is in each. */
function move(event: KeyboardEvent, list: HTMLElement | null): void {
  if (!list || !(event.target instanceof HTMLElement) || !event.target.classList.contains("finding-toggle")) return;
  const stops = Array.from(list.querySelectorAll<HTMLElement>(".finding-toggle"));
  const at = stops.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  stops[Math.max(0, Math.min(stops.length - 1, to))]?.focus();
}
