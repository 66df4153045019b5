/** The findings that name what is selected; one opens Diagnosis at it. */
import { batch } from "@preact/signals";
import { useEffect } from "../base/hooks";
import type { Finding } from "../data/diagnosis";
import type { Manifest } from "../data/manifest";
import type { RunStore } from "../data/run_store";
import type { Selection } from "../data/selection";
import * as view from "../data/view";
import { type Keyed, keyed } from "../lenses/diagnosis/keyed";
import { SEVERITY_WORDS, titleOf, whenOf } from "../lenses/diagnosis/words";
import { SeverityIcon } from "./icons";

export function InspectorFindings(props: { run: RunStore; manifest: Manifest; selection: Selection }) {
  const { run, manifest, selection } = props;
  useEffect(() => run.diagnosis.want(manifest.version), [run, manifest]);
  const diagnosis = run.diagnosis.value.value;
  if (!diagnosis) return null;
  const names = new Set([
    ...selection.rows.map((row) => manifest.layers[row]?.name),
    ...selection.parameters.map(({ parameter }) => parameter.name),
  ]);
  const found = everyOne(diagnosis.findings).filter(({ finding }) => finding.layers.some((name) => names.has(name)));
  return (
    <section aria-label="Findings">
      <h3>Findings</h3>
      {found.length === 0 && <p class="muted">No finding names it</p>}
      {found.map(({ key, finding }) => (
        <button
          key={key}
          type="button"
          class="inspector-finding"
          data-testid="inspector-finding"
          data-code={finding.code}
          title={finding.message}
          onClick={() =>
            batch(() => {
              view.finding.value = key;
              view.lens.value = "diagnosis";
            })
          }
        >
          <SeverityIcon severity={finding.severity} />
          <span class="visually-hidden">{SEVERITY_WORDS[finding.severity]}</span>
          {titleOf(finding.code)}
          <span class="spring" />
          <span class="muted">{whenOf(finding, diagnosis.steps)}</span>
        </button>
      ))}
    </section>
  );
}

/** Findings and what they explain, by the keys that Diagnosis knows them by. */
function everyOne(findings: readonly Finding[], above = ""): Keyed[] {
  return keyed(findings, above).flatMap((item) => [item, ...everyOne(item.finding.effects, item.key)]);
}
