/** Gradient flow: where along the depth does the signal die or explode, and when did it start? */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { pixelRatio } from "../../base/canvas";
import { useHotkeys, useMeasure } from "../../base/hooks";
import { store } from "../../data/session";
import { groupsFor } from "../../data/statistics";
import { nodeAt, visibleRows } from "../../data/tree";
import * as view from "../../data/view";
import { Legend } from "../../views/legend";
import { statistic as chosenStatistic, expandedIn, trees, useReveal } from "../../views/rows";
import { VerdictLine } from "../../views/verdict_line";
import { Waiting } from "../../views/waiting";
import { exportCsv } from "./export";
import { extentOf, modelFor } from "./model";
import { Picture } from "./picture";
import { nextStep, type Pointed } from "./pointing";
import { Readout } from "./readout";
import { AxisSwitch, FoldButtons, StatisticSelect, TableSwitch } from "./toolbar";
import { ValueTable } from "./value_table";
import { nonFiniteIn, verdictOf } from "./verdict";

/** After the picture stands and the user has had a moment to look. */
const AHEAD_MS = 500;

/** Of the heat map when it was last on screen: coming back, the first drawing already fits. */
let lastWidth = 0;

export function GradientLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  const statistic = chosenStatistic.value;
  // Asked for before the manifest is here: a page load waits for the slower of the two, not for their sum.
  const loaded = run?.seriesOf(statistic.name).value ?? null;
  const tree = trees[statistic.rows].value;
  const { width, attach } = useMeasure<HTMLDivElement>();
  const hover = useSignal<Pointed | null>(null);
  const kind = view.axis.value;
  const range = view.range.value;
  if (width > 0) lastWidth = width;
  const columns = Math.round(lastWidth * pixelRatio());
  const model = loaded && modelFor(loaded, statistic, kind, range, columns);
  const whole = loaded && modelFor(loaded, statistic, kind, null, columns);
  const expanded = tree ? expandedIn(statistic.rows, tree) : null;
  const search = view.search.value;
  const rows = useMemo(() => (tree && expanded ? visibleRows(tree, expanded, search) : []), [tree, expanded, search]);
  const layer = view.layer.value;
  const selected = useMemo(() => (tree && layer !== null ? nodeAt(tree, layer) : null), [tree, layer]);
  useReveal(statistic.rows, tree, selected);
  const nonFinite = useMemo(() => (loaded ? nonFiniteIn(loaded.series) : null), [loaded]);
  const pinned = model ? model.sampleAtStep(view.step.value) : -1;

  useHotkeys((event) => {
    if (!loaded) return;
    if (event.key === "[" || event.key === "]")
      view.step.value = nextStep(loaded.series, pinned, event.key === "]" ? 1 : -1);
    else if (event.key === "0") view.range.value = null;
    else return;
    event.preventDefault();
  });

  const available = manifest?.statistics;
  useEffect(() => {
    if (!run || !loaded || !available) return;
    let stopped = false;
    const timer = setTimeout(() => {
      const likely = groupsFor(available).flatMap((g) => g.statistics.map((s) => s.name));
      void run.fetchAhead(likely, () => !stopped).then(() => stopped || run.dead());
    }, AHEAD_MS);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [run, loaded !== null, statistic.name, available?.length]);

  const names = statistic.rows === "layers" ? manifest?.layers : manifest?.parameters;
  const verdict =
    loaded && names && pinned >= 0
      ? verdictOf(loaded, statistic, nonFinite, pinned, (r) => names[r]?.name || "the model")
      : null;

  return (
    <div class="lens">
      <div class="toolbar">
        <StatisticSelect available={manifest?.statistics ?? []} chosen={statistic} />
        {loaded && <Legend domain={loaded.domain} kind={statistic.scale} />}
        <span class="spring" />
        {tree && <FoldButtons kind={statistic.rows} tree={tree} />}
        <AxisSwitch />
        <TableSwitch />
        <button
          type="button"
          class="button"
          title="Numbers of the rows and steps on screen, as a file"
          disabled={!model || rows.length === 0}
          onClick={() => model && exportCsv(run?.name ?? "", model, rows)}
        >
          CSV
        </button>
      </div>
      <VerdictLine verdict={verdict} note={statistic.read} />
      {!manifest || !loaded || !model || !whole || !tree ? (
        <Waiting />
      ) : view.table.value ? (
        <ValueTable model={model} rows={rows} pinned={pinned} />
      ) : (
        <Picture
          manifest={manifest}
          model={model}
          whole={whole}
          tree={tree}
          rows={rows}
          selected={selected}
          pinned={pinned}
          hover={hover}
          width={lastWidth}
          attach={attach}
          extent={extentOf(loaded.series)}
          nonFinite={nonFinite}
        />
      )}
      {model && <Readout model={model} rows={rows} selected={selected} pinned={pinned} hover={hover} />}
    </div>
  );
}
