/** Under the picture, on the same steps: the loss and the learning rate, or whatever else the training loop wrote. */
import type { Signal } from "@preact/signals";
import { formatCount, formatValue } from "../../base/format";
import { useMemo } from "../../base/hooks";
import type { RunStore } from "../../data/run_store";
import { recordAt, type ScalarData, type ScalarName, type ScalarSeries } from "../../data/scalars";
import * as view from "../../data/view";
import { into, type Option, Select } from "../../views/controls";
import { type Curve, curveOf, drawScalars } from "./draw_scalars";
import { Crosses, Panel } from "./panel";
import type { PictureProps } from "./picture_props";

/** Names of the two curves; empty: what tells most; NONE: no curve. */
const chosen: readonly [Signal<string>, Signal<string>] = [view.text("scalar"), view.text("scalar2")];
const NONE = "-";

const KINDS: readonly [ScalarName["kind"], string][] = [
  ["loss", "Loss"],
  ["rate", "Learning rate"],
  ["other", "Other"],
  ["ours", "By torchvitals"],
];

export interface Scalars {
  readonly offered: readonly ScalarName[];
  /** The two curves; null for none, or while it loads. */
  readonly curves: readonly (ScalarSeries | null)[];
}

/** The curves to show, or null where the run has no scalars. */
export function scalarsOf(run: RunStore): Scalars | null {
  const data = run.scalarsOf().value;
  if (!data || data.offered.length === 0) return null;
  return { offered: data.offered, curves: chosen.map((name, i) => curveFor(run, data, name.value, i)) };
}

function curveFor(run: RunStore, data: ScalarData, name: string, place: number): ScalarSeries | null {
  if (name === "") return data.shown[place] ?? null;
  if (!data.offered.some((o) => o.name === name)) return null;
  return run.scalarsOf(name).value?.shown[0] ?? null;
}

export function ScalarsStrip(props: PictureProps & { readonly scalars: Scalars; readonly sample: number }) {
  const { scalars, pinned, hover } = props;
  const model = props.shown.main;
  const { axis, loaded } = model;
  const [a, b] = scalars.curves;
  const curves = useMemo(() => [a, b].map((series) => (series ? curveOf(series, axis) : null)), [a, b, axis]);
  const step = loaded.series.steps[props.sample] as number;
  return (
    <>
      <div class="scalars-about">
        {scalars.curves.map((series, i) => (
          <Chooser key={i} place={i} series={series} offered={scalars.offered} step={step} />
        ))}
      </div>
      <Panel
        class="scalars-plot"
        testid="scalars"
        label={describe(curves)}
        draw={(...pen) => drawScalars(curves, axis, ...pen)}
        of={[curves, axis]}
      >
        {(width) => <Crosses model={model} pinned={pinned} hover={hover} width={width} />}
      </Panel>
      <div class="scalars-notes">
        {scalars.curves.map((series, i) => (
          <Placed key={i} series={series} />
        ))}
      </div>
    </>
  );
}

function Chooser(p: { place: number; series: ScalarSeries | null; offered: readonly ScalarName[]; step: number }) {
  const { place, series, offered, step } = p;
  const at = series ? recordAt(series, step) : -1;
  const value = series?.values[at];
  return (
    <div class="scalar">
      <span class={`line ${place === 0 ? "first" : "second"}`} aria-hidden="true" />
      <Select
        testid="scalar-select"
        label={place === 0 ? "First scalar" : "Second scalar"}
        title={series?.name ?? ""}
        chosen={series?.name ?? NONE}
        onChoose={into(chosen[place] as Signal<string>)}
        groups={[
          ["", [[NONE, "None"]]],
          ...KINDS.map(([kind, title]) => {
            const names = offered.filter((o) => o.kind === kind);
            return [title, names.map(({ name }) => [name, name])] as [string, Option<string>[]];
          }),
        ]}
      />
      <span
        class="scalar-value"
        data-testid="scalar-value"
        data-name={series?.name}
        data-value={value}
        data-step={series?.steps[at]}
      >
        {value === undefined ? "–" : formatValue(value)}
      </span>
    </div>
  );
}

/** How a curve came to its place: nobody should take epochs for steps. */
const PLACED: Readonly<Record<ScalarSeries["by"], readonly [text: string, why: string]>> = {
  step: ["By its own steps", ""],
  time: ["By time", "Its step numbers do not count optimizer steps, its times tell where it was"],
  none: ["No place", "Neither its step numbers nor its times fit the run"],
};

function Placed({ series }: { series: ScalarSeries | null }) {
  if (!series || series.at.length === 0) return <span />;
  const { by, steps } = series;
  const [text, why] = PLACED[by];
  const counts = `; it counts ${formatCount(steps[0] as number)}–${formatCount(steps[steps.length - 1] as number)}`;
  return (
    <span title={why}>
      {text}
      {by !== "step" && counts}
    </span>
  );
}

function describe(curves: readonly (Curve | null)[]): string {
  const said = curves.flatMap((curve) => {
    if (!curve) return [];
    const { scale, series, kind } = curve;
    return [`${series.name} between ${formatValue(scale.low)} and ${formatValue(scale.high)}, ${kind} scale`];
  });
  return `Over the steps shown: ${said.join("; ") || "no scalar"}`;
}
