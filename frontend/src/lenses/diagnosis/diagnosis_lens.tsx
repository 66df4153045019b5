/** Diagnosis: is anything wrong, where, since when, and what to try? */

import { plural } from "../../base/format";
import { useEffect, useMemo } from "../../base/hooks";
import type { Diagnosis } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import type { RunStore } from "../../data/run_store";
import { other as otherRun, store } from "../../data/session";
import * as view from "../../data/view";
import { Banner } from "../../views/banner";
import { TableSwitch } from "../../views/controls";
import { ExportMenu } from "../../views/export_menu";
import { useFetchAhead } from "../../views/fetch_ahead";
import { SeverityIcon } from "../../views/icons";
import { CursorLine } from "../../views/status_line";
import { Waiting } from "../../views/waiting";
import { Checks } from "./checks";
import { type Diff, diffOf, tallyOf } from "./diff";
import type { Setting } from "./finding_item";
import { FindingsList } from "./findings_list";
import { targetOf } from "./show";
import { overSteps, type Verdict, verdictOf } from "./words";

export function DiagnosisLens() {
  const run = store.value;
  const other = otherRun.value;
  const manifest = run?.manifest.value ?? null;
  const diagnosis = useDiagnosis(run);
  const theirs = useDiagnosis(other);
  const error = run?.diagnosis.error.value ?? null;
  useFetchAhead(run, manifest && diagnosis && (() => shownBy(diagnosis, manifest)), null);
  const diff = useMemo(() => diagnosis && theirs && diffOf(diagnosis, theirs), [diagnosis, theirs]);
  const setting = useSetting(manifest, diagnosis, diff, false);
  const beside = useSetting(other?.manifest.value ?? null, theirs, null, true);
  const name = view.layer.value;
  const known = name !== null && setting?.order.has(name) ? name : undefined;
  return (
    <div class="lens contained">
      {setting && <VerdictBand setting={setting} other={other} theirs={beside} />}
      {error !== null && (
        <Banner
          testid="diagnosis-error"
          severity={setting ? "warning" : "critical"}
          action="Try again"
          onAction={() => {
            run?.diagnosis.retry();
            run?.diagnosis.want(manifest?.version ?? "");
          }}
        >
          {setting ? "A newer" : "The"} diagnosis could not be made: {error}
        </Banner>
      )}
      {setting ? (
        <Report setting={setting} theirs={beside} />
      ) : (
        error === null && (
          <Waiting
            text={manifest ? `Looking for problems in ${plural(manifest.layers.length, "layer")}…` : "Loading…"}
          />
        )
      )}
      <CursorLine data={{ "data-layer": known }}>
        {known !== undefined && <strong>{known || "the model"}</strong>}
      </CursorLine>
    </div>
  );
}

/** The newest diagnosis of a run that there is, asked for when the run has grown. */
function useDiagnosis(run: RunStore | null): Diagnosis | null {
  const manifest = run?.manifest.value ?? null;
  // Asked for before the manifest is here; what it then says of the version is compared with the answer's.
  useEffect(() => run?.diagnosis.want(manifest?.version ?? ""), [run, manifest]);
  return run?.diagnosis.value.value ?? null;
}

function useSetting(
  manifest: Manifest | null,
  diagnosis: Diagnosis | null,
  diff: Diff | null,
  away: boolean,
): Setting | null {
  return useMemo(() => {
    if (!manifest || !diagnosis) return null;
    const rows = [...manifest.layers, ...manifest.parameters];
    return { diagnosis, manifest, diff, away, order: new Map(rows.map((row, i) => [row.name, i])) };
  }, [manifest, diagnosis, diff]);
}

function Report({ setting, theirs }: { setting: Setting; theirs: Setting | null }) {
  const { diagnosis, diff } = setting;
  const found = diagnosis.findings.length + (diff?.gone.length ?? 0) > 0;
  return (
    <div class={`diagnosis${found ? "" : " well"}`}>
      {found && <FindingsList setting={setting} theirs={theirs} />}
      <aside class="diagnosis-checks">
        <Checks diagnosis={diagnosis} />
      </aside>
    </div>
  );
}

function VerdictBand({ setting, other, theirs }: { setting: Setting; other: RunStore | null; theirs: Setting | null }) {
  const { diagnosis, manifest, diff } = setting;
  const verdict = verdictIn(setting);
  const error = other?.diagnosis.error.value ?? null;
  const beside = theirs && verdictIn(theirs);
  const files = [diagnosis, ...(theirs ? [theirs.diagnosis] : [])].map((each, i) => ({
    label: i === 0 ? "Findings" : `Findings of ${each.run}`,
    extension: "json",
    type: "application/json",
    text: () => JSON.stringify(each.source, null, 1),
  }));
  return (
    <div class={`verdict-band ${verdict.severity}`}>
      <SeverityIcon severity={verdict.severity} />
      <div class="verdict-words">
        <h1 data-testid="diagnosis-verdict" data-severity={verdict.severity} aria-live="polite">
          <strong>{verdict.head}</strong> {verdict.tail}
        </h1>
        <p class="muted">
          {plural(manifest.layers.length, "layer")}
          {diagnosis.steps && ` looked at ${overSteps(diagnosis.steps)}`}
          {diff && ` · ${tallyOf(diff, diagnosis.findings)}`}
        </p>
        {other && (
          <p data-testid="other-verdict" data-severity={beside?.severity}>
            <span class="muted">{other.name}</span>{" "}
            {beside ? (
              <>
                <SeverityIcon severity={beside.severity} /> <strong>{beside.head}</strong> {beside.tail}
              </>
            ) : (
              <span class="muted">{error !== null ? `no diagnosis: ${error}` : "looking for problems…"}</span>
            )}
          </p>
        )}
      </div>
      <TableSwitch />
      <ExportMenu what="diagnosis" files={files} />
    </div>
  );
}

function verdictIn({ diagnosis, manifest }: Setting): Verdict {
  return verdictOf(diagnosis, (name) => manifest.parameters.some((parameter) => parameter.name === name));
}

const MOST_AHEAD = 6;

/** The statistics that "Show me" will need. */
function shownBy({ findings, steps }: Diagnosis, manifest: Manifest): string[] {
  const stats = findings.map((finding) => targetOf(finding, finding.evidence[0], steps, manifest).stat);
  const known = new Set([...stats, "gradient/rms"].flatMap((stat) => stat ?? []));
  return [...known].filter((stat) => manifest.statistics.includes(stat)).slice(0, MOST_AHEAD);
}
