/** One finding: what, where, since when and what to try in sight, the rest unfolds. What it explains stands inside it. */
import { batch } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { plural } from "../../base/format";
import type { Diagnosis, Evidence } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import * as view from "../../data/view";
import { Chevron, SeverityIcon } from "../../views/icons";
import { NameChips } from "../../views/name_chips";
import type { Diff } from "./diff";
import { EvidenceFigure, EvidenceSpark } from "./evidence_figure";
import { isOpen, type Keyed, keyed, setOpen } from "./keyed";
import { describe, show, targetOf } from "./show";
import { SEVERITY_WORDS, titleOf, typeset, whenOf } from "./words";

/** What every finding of a run is shown with. */
export interface Setting {
  readonly diagnosis: Diagnosis;
  readonly manifest: Manifest;
  /** Place of each row in the order of depth. */
  readonly order: ReadonlyMap<string, number>;
  /** What became of each since the run it is compared with; null without one. */
  readonly diff: Diff | null;
  /** The run is not the one on screen but the one it is compared with. */
  readonly away: boolean;
}

export interface FindingItemProps extends Setting {
  readonly item: Keyed;
  readonly place: number;
  readonly effect?: boolean;
  /** Came while the others were being read. */
  readonly fresh?: boolean;
}

const CHANGES = { new: "+ New", worse: "▲ Worse", better: "▼ Better", same: "= Same" } as const;

export function FindingItem({ item, place, effect = false, fresh = false, ...setting }: FindingItemProps) {
  const { diagnosis, manifest, order, diff, away } = setting;
  const { key, finding } = item;
  const { run } = manifest;
  const open = isOpen(run, key, place);
  const body = useId();
  const [evidence] = finding.evidence;
  const change = diff?.changes.get(finding);
  const Heading = effect ? "h3" : "h2";
  const turn = (to: boolean) => {
    setOpen(run, key, to);
    if (!away) view.finding.value = to ? key : null;
  };
  return (
    <article
      class={`finding ${finding.severity}${view.finding.value === key ? " chosen" : ""}`}
      data-testid={effect ? "finding-effect" : away ? "finding-gone" : "finding"}
      data-code={finding.code}
      data-severity={finding.severity}
      data-key={key}
    >
      <div class="finding-head">
        <Heading>
          <button
            type="button"
            class="finding-toggle"
            aria-expanded={open}
            aria-controls={body}
            onClick={() => turn(!open)}
            onKeyDown={(event) => {
              if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
              event.preventDefault();
              if (open !== (event.key === "ArrowRight")) turn(!open);
            }}
          >
            <Chevron open={open} />
            <SeverityIcon severity={finding.severity} />
            <span class="finding-severity">{SEVERITY_WORDS[finding.severity]}</span>
            {titleOf(finding.code)}
          </button>
        </Heading>
        <span class="muted">{whenOf(finding, diagnosis.steps)}</span>
        {fresh && <span class="change new">Just arrived</span>}
        {change && (
          <span class={`change ${change.kind}`} data-testid="finding-change" data-change={change.kind}>
            {CHANGES[change.kind]} <span class="muted">{change.words}</span>
          </span>
        )}
        {away && !effect && <span class="change better">− Gone</span>}
        <span class="spring" />
        {!open && evidence && <EvidenceSpark evidence={evidence} order={order} />}
        <ShowMe class={`button${away || effect ? "" : " primary"}`} setting={setting} item={item} evidence={evidence} />
      </div>
      <p class="finding-message">{typeset(finding.message)}</p>
      {/* Of an effect the cause is what to act on; what it says itself is inside. */}
      {!open && !effect && finding.remedy && (
        <p class="finding-remedy muted">
          <strong>Try</strong> {typeset(finding.remedy)}
        </p>
      )}
      <div id={body} hidden={!open}>
        {open && <Body {...setting} item={item} />}
      </div>
    </article>
  );
}

interface ShowMeProps {
  readonly class: string;
  readonly setting: Setting;
  readonly item: Keyed;
  readonly evidence: Evidence | undefined;
}

function ShowMe({ setting, item, evidence, ...rest }: ShowMeProps) {
  const { diagnosis, manifest, away } = setting;
  const target = targetOf(item.finding, evidence, diagnosis.steps, manifest);
  return (
    <button
      type="button"
      {...rest}
      data-testid="show-me"
      title={describe(target)}
      onClick={() =>
        batch(() => {
          if (away) {
            const before = view.run.peek();
            view.chooseRun(manifest.run);
            view.versus.value = before;
          }
          view.finding.value = item.key;
          show(target);
        })
      }
    >
      Show me{away && ` in ${manifest.run}`}
    </button>
  );
}

function Body({ item, ...setting }: Setting & { item: Keyed }) {
  const { key, finding } = item;
  const { evidence, layers, remedy, why } = finding;
  const effects = keyed(finding.effects, key);
  return (
    <>
      <div class="finding-body">
        <dl class="finding-facts">
          {remedy && (
            <Fact label="What to try" class="try">
              {typeset(remedy)}
            </Fact>
          )}
          {layers.length > 0 && (
            <Fact label="Where">
              <NameChips names={layers} label={plural(layers.length, "place")} testid="finding-layer" />
            </Fact>
          )}
          {why && <Fact label="Why it matters">{typeset(why)}</Fact>}
        </dl>
        <div class="finding-evidence">
          {evidence.map((piece, i) => (
            <EvidenceFigure key={i} evidence={piece} order={setting.order}>
              {/* Further evidence has a way of its own; that of the first is the finding's. */}
              {i > 0 && <ShowMe class="link" setting={setting} item={item} evidence={piece} />}
            </EvidenceFigure>
          ))}
        </div>
      </div>
      {effects.length > 0 && (
        <section class="finding-effects">
          <p class="muted">This also explains</p>
          {effects.map((each) => (
            // Closed at first, whatever their place: the cause is what to look at.
            <FindingItem key={each.key} {...setting} item={each} place={Number.POSITIVE_INFINITY} effect />
          ))}
        </section>
      )}
    </>
  );
}

function Fact(props: { label: string; class?: string; children: ComponentChildren }) {
  return (
    <div class={props.class}>
      <dt>{props.label}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
