/** The findings, worst first: by severity if there are several, by layer if one is searched for. */
import { useSignal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import { useEffect, useLayoutEffect, useMemo } from "../../base/hooks";
import { clamp } from "../../base/scales";
import { type Finding, SEVERITIES, type Severity } from "../../data/diagnosis";
import * as view from "../../data/view";
import { into, type Option, Switch } from "../../views/controls";
import { SeverityIcon } from "../../views/icons";
import { useKeyNotes } from "../../views/keys";
import { FindingItem, type Setting } from "./finding_item";
import { type Keyed, keyed, reveal, settled } from "./keyed";
import { SEVERITY_WORDS } from "./words";

/** `theirs`: of the run this one is compared with. */
export function FindingsList({ setting, theirs }: { setting: Setting; theirs: Setting | null }) {
  const { diff, manifest } = setting;
  const { findings } = setting.diagnosis;
  const severity = useSignal<Severity | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const { items, fresh, settle } = useSettled(findings);
  const present = SEVERITIES.filter((s) => findings.some((f) => f.severity === s));
  const chosen = present.find((s) => s === severity.value) ?? null;
  const search = view.search.value.trim().toLowerCase();
  const wanted = ({ finding }: Keyed) =>
    (chosen === null || finding.severity === chosen) && (search === "" || concerns(finding, search));
  const shown = items.filter(wanted);
  const gone = theirs && diff ? keyed(diff.gone).filter(wanted) : [];
  const isNew = ({ finding }: Keyed) => diff?.changes.get(finding)?.kind === "new";

  // Nothing above may push down what is being read: neither a longer verdict nor the filter of a second severity.
  const filter = useRef(false);
  if (fresh.size === 0) filter.current = present.length > 1;
  const top = useRef<number | null>(null);
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const now = element.getBoundingClientRect().top;
    if (top.current !== null) element.scrollTop += now - top.current;
    top.current = now;
  }, [findings]);

  // A link to a finding, or coming back from its picture: it is open and in sight.
  const linked = view.finding.value;
  useEffect(() => {
    if (linked === null) return;
    reveal(manifest.run, linked);
    requestAnimationFrame(() =>
      list.current?.querySelector(`[data-key="${CSS.escape(linked)}"]`)?.scrollIntoView({ block: "nearest" }),
    );
  }, [linked]);

  useKeyNotes("Findings", [
    { keys: ["ArrowUp", "ArrowDown"], text: "Previous, next finding" },
    { keys: ["ArrowRight", "ArrowLeft"], text: "Open, close a finding" },
    { keys: ["Home", "End"], text: "First, last finding" },
  ]);
  const part = (title: string | null, some: readonly Keyed[], of = setting) =>
    some.length > 0 && (
      <section>
        {title !== null && (
          <h2 class="findings-part">
            {title} <span class="muted">{formatCount(some.length)}</span>
          </h2>
        )}
        {some.map((item) => (
          <FindingItem
            key={item.key}
            {...of}
            item={item}
            place={of.away ? Number.POSITIVE_INFINITY : items.indexOf(item)}
            fresh={fresh.has(item.key)}
          />
        ))}
      </section>
    );
  const choice = (value: Severity | null, label: string, count: number): Option<Severity | null> => [
    value,
    <>
      {value && <SeverityIcon severity={value} />}
      {label} <span class="muted">{formatCount(count)}</span>
    </>,
  ];
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the arrows move between the buttons inside
    <div class="findings" ref={list} onKeyDown={(event) => move(event, list.current)}>
      {filter.current && (
        <Switch
          class="findings-filter"
          label="Findings to list"
          chosen={chosen}
          onChoose={into(severity)}
          options={[
            choice(null, "All", findings.length),
            ...present.map((s) => choice(s, SEVERITY_WORDS[s], findings.filter((f) => f.severity === s).length)),
          ]}
        />
      )}
      {diff ? (
        <>
          {part(`New in ${manifest.run}`, shown.filter(isNew))}
          {part(
            "In both",
            shown.filter((item) => !isNew(item)),
          )}
        </>
      ) : (
        part(null, shown)
      )}
      {theirs && part(`Gone, only in ${theirs.manifest.run}`, gone, theirs)}
      {shown.length + gone.length === 0 && <p class="findings-part muted">No finding concerns a layer of that name</p>}
      {fresh.size > 0 && (
        <div class="findings-fresh">
          <button
            type="button"
            class="button primary"
            data-testid="fresh-findings"
            onClick={() => {
              settle();
              // This button goes; the first finding is where one reads on.
              requestAnimationFrame(() => list.current?.querySelector<HTMLElement>(".finding-toggle")?.focus());
              list.current?.scrollTo({ top: 0 });
            }}
          >
            {plural(fresh.size, "new finding")} · sort worst first
          </button>
        </div>
      )}
    </div>
  );
}

/** What comes while one reads goes to the end, and is said: nothing moves under the reader's eyes. */
function useSettled(findings: readonly Finding[]) {
  const order = useRef<readonly string[]>([]);
  const fresh = useRef<ReadonlySet<string>>(new Set());
  const [, again] = useState(0);
  const all = useMemo(() => keyed(findings), [findings]);
  const now = settled(all, order.current, fresh.current);
  order.current = now.items.map((item) => item.key);
  fresh.current = now.fresh;
  const settle = () => {
    order.current = [];
    fresh.current = new Set();
    again((times) => times + 1);
  };
  return { ...now, settle };
}

export function concerns(finding: Finding, needle: string): boolean {
  return (
    finding.layers.some((name) => name.toLowerCase().includes(needle)) ||
    finding.effects.some((effect) => concerns(effect, needle))
  );
}

/** From one finding to the next with the arrows; Tab goes through all there is in each. */
function move(event: KeyboardEvent, list: HTMLElement | null): void {
  const stops = Array.from(list?.querySelectorAll<HTMLElement>(".finding-toggle") ?? []);
  const at = stops.indexOf(event.target as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  stops[clamp(to, 0, stops.length - 1)]?.focus();
}
