/** Diagnosis: is anything wrong, where, since when, and what to try? */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { download, fileStem } from "../../base/csv";
import { formatCount, plural } from "../../base/format";
import type { Diagnosis } from "../../data/diagnosis";
import type { Manifest } from "../../data/manifest";
import type { RunStore } from "../../data/run_store";
import { store } from "../../data/session";
import * as view from "../../data/view";
import { SeverityIcon } from "../../views/icons";
import { StatusLine } from "../../views/status_line";
import { Waiting } from "../../views/waiting";
import { TableSwitch } from "../gradient/toolbar";
import { Checks } from "./checks";
import type { Setting } from "./finding_item";
import { FindingsList } from "./findings_list";
import { targetOf } from "./show";
import { overSteps, verdictOf } from "./words";

/** After the findings stand and the user has begun to read. */
const AHEAD_MS = 500;

export function DiagnosisLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  const diagnosis = run?.diagnosis.value.value ?? null;
  const error = run?.diagnosis.error.value ?? null;
  // Asked for before the manifest is here; what it then says of the version is compared with the answer's.
  useEffect(() => run?.diagnosis.want(manifest?.version ?? ""), [run, manifest]);
  useFetchAhead(run, manifest, diagnosis);

  const setting = useMemo<Setting | null>(() => {
    if (!manifest || !diagnosis) return null;
    const parameters = new Set(manifest.parameters.map((p) => p.name));
    const layers = new Set(manifest.layers.map((l) => l.name));
    const rows = [...manifest.layers, ...manifest.parameters];
    return {
      diagnosis,
      manifest,
      order: new Map(rows.map((row, i) => [row.name, i])),
      isParameter: (name) => parameters.has(name) && !layers.has(name),
    };
  }, [manifest, diagnosis]);

  const again = () => {
    run?.diagnosis.retry();
    run?.diagnosis.want(manifest?.version ?? "");
  };
  return (
    <div class="lens">
      {setting ? (
        <Report setting={setting} failure={error} again={again} />
      ) : error !== null ? (
        <div class="empty" role="alert" data-testid="diagnosis-error">
          <SeverityIcon severity="critical" />
          <h1>The diagnosis could not be made</h1>
          <p>{error}</p>
          <button type="button" class="button" onClick={again}>
            Try again
          </button>
          <p class="muted">The other lenses work without it</p>
        </div>
      ) : (
        <Waiting text={manifest ? `Looking for problems in ${plural(manifest.layers.length, "layer")}…` : "Loading…"} />
      )}
      <StatusLine>
        <Selected manifest={manifest} />
      </StatusLine>
    </div>
  );
}

function Report({ setting, failure, again }: { setting: Setting; failure: string | null; again: () => void }) {
  const { diagnosis } = setting;
  const found = diagnosis.findings.length > 0;
  return (
    <>
      <VerdictBand setting={setting} />
      {failure !== null && (
        <p class="diagnosis-stale" role="status" data-testid="diagnosis-error">
          <SeverityIcon severity="warning" />
          <span>A newer diagnosis could not be made: {failure}</span>
          <button type="button" class="button" onClick={again}>
            Try again
          </button>
        </p>
      )}
      <div class={`diagnosis${found ? "" : " well"}`}>
        {found && <FindingsList {...setting} />}
        <aside class="diagnosis-checks">
          <Checks diagnosis={diagnosis} />
        </aside>
      </div>
    </>
  );
}

function VerdictBand({ setting }: { setting: Setting }) {
  const { diagnosis, manifest, isParameter } = setting;
  const verdict = verdictOf(diagnosis, isParameter);
  return (
    <div class={`verdict-band ${verdict.severity}`}>
      <SeverityIcon severity={verdict.severity} />
      <div class="verdict-words">
        <h1 data-testid="diagnosis-verdict" data-severity={verdict.severity} aria-live="polite">
          <strong>{verdict.head}</strong> {verdict.tail}
        </h1>
        <p class="muted">{aboutOf(diagnosis, manifest)}</p>
      </div>
      <TableSwitch />
      <button
        type="button"
        class="button"
        title="The diagnosis as a file"
        onClick={() =>
          download(
            `${fileStem("torchvitals", manifest.run, "diagnosis")}.json`,
            JSON.stringify(diagnosis.source, null, 1),
            "application/json",
          )
        }
      >
        JSON
      </button>
    </div>
  );
}

function aboutOf({ steps, checks, findings }: Diagnosis, manifest: Manifest): string {
  const passed = checks.filter((c) => c.outcome === "passed").length;
  const missed = checks.filter((c) => c.outcome === "not checked").length;
  const parts = [plural(manifest.layers.length, "layer")];
  if (steps && findings.length > 0) parts.push(`looked at ${overSteps(steps).replace(/^over /, "")}`);
  if (checks.length > 0) parts.push(`${formatCount(passed)} of ${plural(checks.length, "check")} passed`);
  if (missed > 0) parts.push(`${formatCount(missed)} could not be made`);
  return parts.join(" · ");
}

function Selected({ manifest }: { manifest: Manifest | null }) {
  const name = view.layer.value;
  const layer = manifest?.layers.find((l) => l.name === name);
  const known = layer ?? manifest?.parameters.find((p) => p.name === name);
  if (!known) return null;
  return (
    <span data-testid="cursor-readout" data-layer={known.name}>
      <strong>{known.name || "the model"}</strong>
      {layer && <span class="sep">{layer.type}</span>}
      {known.shape.length > 0 && <span class="sep">{known.shape.join(" × ")}</span>}
      {layer?.source && <span class="sep muted">{layer.source}</span>}
    </span>
  );
}

/** What "Show me" will need. */
function useFetchAhead(run: RunStore | null, manifest: Manifest | null, diagnosis: Diagnosis | null): void {
  const latest = useRef({ manifest, diagnosis });
  latest.current = { manifest, diagnosis };
  useEffect(() => {
    if (!run || !manifest || !diagnosis) return;
    let stopped = false;
    const timer = setTimeout(() => {
      const now = latest.current;
      if (!now.manifest || !now.diagnosis) return;
      const names = wantedOf(now.diagnosis, now.manifest);
      void run.fetchAhead(names, () => !stopped).then(() => stopped || run.dead());
    }, AHEAD_MS);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [run, manifest !== null && diagnosis !== null]);
}

const MOST_AHEAD = 6;

function wantedOf(diagnosis: Diagnosis, manifest: Manifest): string[] {
  const names = diagnosis.findings.flatMap((finding) =>
    [...(finding.evidence.length > 0 ? finding.evidence : [undefined])].map(
      (evidence) => targetOf(finding, evidence, diagnosis.steps, manifest).stat,
    ),
  );
  const known = new Set(manifest.statistics);
  const wanted = new Set(names.concat("gradient/rms").filter((name) => name !== null && known.has(name)));
  return [...wanted].slice(0, MOST_AHEAD) as string[];
}
