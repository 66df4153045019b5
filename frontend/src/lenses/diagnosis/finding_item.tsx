/** One finding: what, where, since when and what to try in sight, the rest unfolds. What it explains stands inside it. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { Diagnosis } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import * as view from "../../data/view";
import { Chevron, SeverityIcon } from "../../views/icons";
import { EvidenceFigure, EvidenceSpark } from "./evidence_figure";
import { isOpen, type Keyed, keyed, setOpen } from "./keyed";
import { LayerChips } from "./layer_chips";
import { describe, show, targetOf } from "./show";
import { SEVERITY_WORDS, titleOf, typeset, whenOf } from "./words";

/** What every finding of a run is shown with. */
export interface Setting {
  readonly diagnosis: Diagnosis;
  readonly manifest: Manifest;
  /** Place of each row in the order of depth. */
  readonly order: ReadonlyMap<string, number>;
  readonly isParameter: (name: string) => boolean;
}

export interface FindingItemProps extends Setting {
  readonly item: Keyed;
  readonly place: number;
  readonly level: 2 | 3;
}

export function FindingItem({ item, place, level, ...setting }: FindingItemProps) {
  const { diagnosis, manifest, order } = setting;
  const { key, finding } = item;
  const run = manifest.run;
  const open = isOpen(run, key, place);
  const body = useId();
  const [evidence] = finding.evidence;
  const target = targetOf(finding, evidence, diagnosis.steps, manifest);
  const title = titleOf(finding.code);
  const turn = (to: boolean) => {
    setOpen(run, key, to);
    view.finding.value = to ? key : null;
  };
  const Heading = level === 2 ? "h2" : "h3";
  return (
    <article
      class={`finding ${finding.severity}${view.finding.value === key ? " chosen" : ""}`}
      aria-label={`${SEVERITY_WORDS[finding.severity]}, ${title}`}
      data-testid={level === 2 ? "finding" : "finding-effect"}
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
            <span class={`finding-severity ${finding.severity}`}>
              <SeverityIcon severity={finding.severity} />
              {SEVERITY_WORDS[finding.severity]}
            </span>
            <span class="finding-title">{title}</span>
          </button>
        </Heading>
        <span class="finding-when">{whenOf(finding, diagnosis.steps)}</span>
        <span class="spring" />
        {!open && evidence && <EvidenceSpark evidence={evidence} order={order} />}
        <button
          type="button"
          class={`button${level === 2 ? " primary" : ""}`}
          data-testid="show-me"
          title={describe(target)}
          aria-label={`Show me ${describe(target)}`}
          onClick={() => {
            view.finding.value = key;
            show(target);
          }}
        >
          Show me
        </button>
      </div>
      <p class="finding-message" title={open ? undefined : finding.message}>
        {typeset(finding.message)}
      </p>
      {/* Of an effect the cause is what to act on; what it says itself is inside. */}
      {!open && level === 2 && finding.remedy && (
        <p class="finding-remedy" title={finding.remedy}>
          <span class="finding-label">Try</span> {typeset(finding.remedy)}
        </p>
      )}
      <div id={body} hidden={!open}>
        {open && <Body {...setting} item={item} level={level} />}
      </div>
    </article>
  );
}

function Body({ item, level, ...setting }: Omit<FindingItemProps, "place">) {
  const { key, finding } = item;
  const { diagnosis, manifest, order, isParameter } = setting;
  const effects = keyed(finding.effects, key);
  const parameters = finding.layers[0] !== undefined && isParameter(finding.layers[0]);
  return (
    <>
      <div class={`finding-body${finding.evidence.length > 0 ? "" : " bare"}`}>
        <dl class="finding-facts">
          {finding.remedy && (
            <Fact label="What to try" class="try">
              {typeset(finding.remedy)}
            </Fact>
          )}
          {finding.layers.length > 0 && (
            <Fact label="Where">
              <LayerChips names={finding.layers} noun={parameters ? "parameter" : "layer"} />
            </Fact>
          )}
          {finding.why && <Fact label="Why it matters">{typeset(finding.why)}</Fact>}
        </dl>
        {finding.evidence.length > 0 && (
          <div class="finding-evidence">
            {finding.evidence.map((evidence, i) => (
              <EvidenceFigure
                key={i}
                evidence={evidence}
                order={order}
                target={i > 0 ? targetOf(finding, evidence, diagnosis.steps, manifest) : null}
              />
            ))}
          </div>
        )}
      </div>
      {effects.length > 0 && (
        <section class="finding-effects" aria-label="What this explains">
          <p class="muted">This also explains</p>
          {effects.map((effect) => (
            // Closed at first, whatever their place: the cause is what to look at.
            <FindingItem key={effect.key} {...setting} item={effect} place={Number.POSITIVE_INFINITY} level={3} />
          ))}
        </section>
      )}
    </>
  );
}

function Fact(props: { label: string; class?: string; children: ComponentChildren }) {
  return (
    <div class={`fact ${props.class ?? ""}`}>
      <dt>{props.label}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
