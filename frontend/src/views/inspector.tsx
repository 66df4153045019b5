/** Everything about the selected layer or group, beside any lens. */
import type { ComponentChildren } from "preact";
import { formatCount, plural } from "../base/format";
import { useMemo } from "../base/hooks";
import { type Layer, type Manifest, typeOf } from "../data/manifest";
import type { RunStore } from "../data/run_store";
import {
  callOf,
  neighbours,
  type OwnParameter,
  remarksOn,
  type Selection,
  selectionOf,
  sizeOf,
} from "../data/selection";
import { other as otherRun } from "../data/session";
import * as view from "../data/view";
import { LENSES, lensOf } from "../lenses/registry";
import { trainedText } from "../lenses/structure/words";
import { into, Switch } from "./controls";
import { CopyButton } from "./copy_button";
import { InspectorFindings } from "./inspector_findings";
import { InspectorVitals, ParameterList } from "./inspector_vitals";
import { NameChips } from "./name_chips";
import { Waiting } from "./waiting";

export function Inspector({ run }: { run: RunStore }) {
  const manifest = run.manifest.value;
  const selection = useSelection(manifest);
  return (
    <aside class="inspector" aria-label="Inspector" data-testid="inspector" data-selected={selection?.name}>
      {!manifest ? (
        <Waiting />
      ) : !selection ? (
        <RunFacts manifest={manifest} />
      ) : selection.kind === "unknown" ? (
        <p class="muted">This run has no layer {selection.name}</p>
      ) : (
        <About run={run} manifest={manifest} selection={selection} />
      )}
    </aside>
  );
}

function useSelection(manifest: Manifest | null): Selection | null {
  const address = view.layer.value;
  return useMemo(() => (manifest && address !== null ? selectionOf(manifest, address) : null), [manifest, address]);
}

function About({ run, manifest, selection }: { run: RunStore; manifest: Manifest; selection: Selection }) {
  const { layer, rows, name, parameters } = selection;
  const other = otherRun.value;
  const twin = useSelection(other?.manifest.value ?? null);
  const seen = { run, manifest, selection, other, twin };
  const links = neighbours(manifest, layer ? (rows[0] as number) : -1);
  return (
    <>
      <div class="inspector-name">
        <h2>{name || (layer ? "model output" : "the model")}</h2>
        {name && <CopyButton class="link" text={name} label="Copy name" />}
      </div>
      <dl class="facts">
        {layer ? (
          <LayerFacts layer={layer} manifest={manifest} />
        ) : (
          <Fact label="Group of">{plural(rows.length, "layer")}</Fact>
        )}
        <Total parameters={parameters} />
        {layer?.source && <Fact label="Source">{layer.source}</Fact>}
      </dl>
      <Switch
        class="inspector-lenses"
        label="Open in"
        chosen={lensOf(view.lens.value).id}
        onChoose={into<string | null>(view.lens)}
        options={LENSES.map((lens) => [lens.id, lens.short ?? lens.title])}
      />
      {remarksOn(manifest, selection).map((remark) => (
        <p key={remark} class="warn">
          {remark}
        </p>
      ))}
      <InspectorFindings run={run} manifest={manifest} selection={selection} />
      {rows.length > 0 && <InspectorVitals {...seen} />}
      {other && twin?.rows.length === 0 && <p class="muted">{other.name} has nothing of this name</p>}
      {parameters.length > 0 && <ParameterList {...seen} />}
      <Links title="Fed by" manifest={manifest} rows={links.before} />
      <Links title="Feeds" manifest={manifest} rows={links.after} />
    </>
  );
}

function LayerFacts({ layer, manifest }: { layer: Layer; manifest: Manifest }) {
  const [call, calls] = callOf(manifest, layer);
  return (
    <>
      <Fact label="Type">{typeOf(layer)}</Fact>
      {layer.function !== null && layer.kind === "module" && <Fact label="Activation">{layer.function}</Fact>}
      <Fact label="Output" more={layer.dtype}>
        {layer.shape.join(" × ") || "a number"}
      </Fact>
      {layer.units !== null && <Fact label="Units">{formatCount(layer.units)}</Fact>}
      {calls > 1 && <Fact label="Call">{`${call} of ${calls}`}</Fact>}
    </>
  );
}

/** How many numbers the parameters are, and how many of them are trained. */
function Total({ parameters }: { parameters: readonly OwnParameter[] }) {
  const sum = (some: readonly OwnParameter[]) => some.reduce((total, { parameter }) => total + sizeOf(parameter), 0);
  const all = sum(parameters);
  if (all === 0) return null;
  return (
    <Fact label="Parameters" more={trainedText(all, sum(parameters.filter(({ parameter }) => parameter.trainable)))}>
      {formatCount(all)}
    </Fact>
  );
}

/** Nothing is selected: how to, and the run as a whole. */
function RunFacts({ manifest }: { manifest: Manifest }) {
  const { run, layers, parameters, samples, firstStep, lastStep, skipped } = manifest;
  return (
    <>
      <p class="muted">Select a row in any lens to see everything about it here</p>
      <dl class="facts">
        <Fact label="Run">{run || "."}</Fact>
        <Fact label="Layers">{formatCount(layers.length)}</Fact>
        <Total parameters={parameters.map((parameter, row) => ({ parameter, row }))} />
        <Fact label="Sampled" more={samples > 0 && `${formatCount(firstStep)} to ${formatCount(lastStep)}`}>
          {plural(samples, "step")}
        </Fact>
        {skipped.length > 0 && (
          <Fact label="Skipped" more={`by the loss scaler, last ${formatCount(skipped[skipped.length - 1] ?? 0)}`}>
            {plural(skipped.length, "step")}
          </Fact>
        )}
      </dl>
    </>
  );
}

function Fact({ label, more, children }: { label: string; more?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>
        {children} <span class="muted">{more}</span>
      </dd>
    </>
  );
}

function Links({ title, manifest, rows }: { title: string; manifest: Manifest; rows: readonly number[] }) {
  if (rows.length === 0) return null;
  return (
    <section key={rows.join()} aria-label={title}>
      <h3>{title}</h3>
      <NameChips label={title} testid="inspector-link" names={rows.map((row) => manifest.layers[row]?.name ?? "")} />
    </section>
  );
}
