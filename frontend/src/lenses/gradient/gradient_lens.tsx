/** Gradient flow: where along the depth does the signal die or explode, and when did it start? */
import { useSignal } from "@preact/signals";
import { pixelRatio } from "../../base/canvas";
import { useEffect, useMeasure, useMemo } from "../../base/hooks";
import { hasRelative } from "../../data/derived";
import { jointRows } from "../../data/joint";
import { other, store } from "../../data/session";
import { groupsFor, type Statistic, statisticOf } from "../../data/statistics";
import { layerTree, nodeAt, parameterTree } from "../../data/tree";
import * as view from "../../data/view";
import { AxisSwitch, FoldButtons, StatisticSelect, TableSwitch } from "../../views/controls";
import { ExportMenu } from "../../views/export_menu";
import { useFetchAhead } from "../../views/fetch_ahead";
import { useStepKeys } from "../../views/keys";
import { Legend } from "../../views/legend";
import { statistic as chosenStatistic, trees, useRows } from "../../views/rows";
import { VerdictLine } from "../../views/verdict_line";
import { Waiting } from "../../views/waiting";
import { useFollowKey } from "../follow";
import { useLatest } from "../keep";
import { csvOf, scalarsCsv } from "./export";
import type { Pair } from "./pair";
import { Picture } from "./picture";
import type { Pointed } from "./pointing";
import { Readout } from "./readout";
import { ScalarTable } from "./scalar_table";
import { scalarsOf } from "./scalars_strip";
import { colour, compare, pick, shownIn, wholeOf } from "./shown";
import { ColourSwitch, CompareSwitch } from "./toolbar";
import { ValueTable } from "./value_table";
import { type Compared, comparison, nonFiniteIn, verdictOf } from "./verdict";

/** Of the heat map when it was last on screen: coming back, the first drawing already fits. */
let lastWidth = 0;

export function GradientLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  const wanted = chosenStatistic.value;
  // Asked for before the manifest is here: a page load waits for the slower of the two, not for their sum.
  const loadedOf = ({ name }: Statistic) => run?.seriesOf(name).value ?? null;
  // Until another statistic is here, the one before.
  const statistic = useLatest(loadedOf(wanted) && wanted) ?? wanted;
  const loaded = loadedOf(statistic);
  const pair = usePair();
  const lacking = pair !== null && !other.value?.manifest.value?.statistics.includes(statistic.name);
  const second = (pair && !lacking && other.value?.seriesOf(statistic.name).value) || null;
  const kinds = statistic.rows;
  const own = trees[kinds].value;
  const tree = useMemo(
    () => (pair ? (kinds === "layers" ? layerTree(pair.joint.layers) : parameterTree(pair.joint.parameters)) : own),
    [pair, kinds, own],
  );
  const { width, attach } = useMeasure<HTMLDivElement>();
  const hover = useSignal<Pointed | null>(null);
  const kind = view.axis.value;
  const range = view.range.value;
  if (width > 0) lastWidth = width;
  const columns = Math.round(lastWidth * pixelRatio());
  const how = { colour: colour.value, compare: compare.value };
  const picked = useMemo(
    () => loaded && pick(loaded, second && pair && { loaded: second, rows: pair.joint.second[kinds] }, statistic, how),
    [loaded, second, pair, statistic, how.colour, how.compare],
  );
  // Held here: of the models that are kept there may be fewer than are on screen.
  const whole = useMemo(() => picked && wholeOf(picked, kind, columns), [picked, kind, columns]);
  const shown = useMemo(() => picked && whole && shownIn(picked, kind, range, columns, whole), [picked, whole, range]);
  const layer = view.layer.value;
  const selected = useMemo(() => (tree && layer !== null ? nodeAt(tree, layer) : null), [tree, layer]);
  const rows = useRows(kinds, tree, selected);
  const main = shown?.main ?? null;
  const nonFinite = useMemo(() => (main ? nonFiniteIn(main.loaded.series) : null), [main?.loaded]);
  const pinned = main ? main.sampleAtStep(view.step.value) : -1;
  // Not before the picture stands: nobody waits for the strip beneath it.
  const scalars = run && shown && manifest ? scalarsOf(run) : null;

  useStepKeys(main?.loaded.series.steps, main?.loaded.series.count);
  useFollowKey();
  // Rows of one tree are not those of another.
  useEffect(() => {
    hover.value = null;
  }, [kinds, pair === null]);

  const available = manifest?.statistics;
  const asked = view.stat.value ?? "gradient/rms";
  const likely = () => groupsFor(available ?? []).flatMap((g) => g.statistics.map((s) => s.name));
  useFetchAhead(run, loaded && available && statistic === wanted ? likely : null, statistic.name + available?.length);

  const names = pair ? pair.joint[kinds] : manifest?.[kinds];
  const nameOf = (r: number) => names?.[r]?.name || "the model";
  const verdict = useMemo(() => {
    if (!shown || !names || pinned < 0) return null;
    const { a, b } = shown;
    if (b && pair) return comparison(a.loaded.series, b.loaded.series, statistic, pinned, nameOf, calledIn(pair));
    return verdictOf(shown.main.loaded, shown.main.statistic, nonFinite, pinned, nameOf);
  }, [shown, names, pinned, nonFinite]);
  const note =
    statistic !== wanted
      ? `${statistic.label} until ${wanted.label} is here`
      : lacking
        ? `Run “${pair?.b}” has no ${statistic.label}`
        : available && !available.includes(asked)
          ? `This run has no ${statisticOf(asked).label}`
          : (main?.statistic.read ?? statistic.read);

  return (
    <div class="lens">
      <div class="toolbar">
        <StatisticSelect available={manifest?.statistics ?? []} chosen={wanted} />
        {main && <Legend domain={main.loaded.domain} kind={main.statistic.scale} />}
        <span class="spring" />
        {shown?.b && <CompareSwitch />}
        {(!shown?.b || how.compare === "beside") && hasRelative(statistic) && <ColourSwitch />}
        {tree && <FoldButtons kind={kinds} tree={tree} />}
        <AxisSwitch />
        <TableSwitch />
        <ExportMenu
          what={statistic.name}
          csv={shown && rows.length > 0 ? () => csvOf(shown, rows) : null}
          files={
            scalars && main
              ? [
                  {
                    label: "Scalars",
                    extension: "scalars.csv",
                    type: "text/csv",
                    text: () => scalarsCsv(scalars, main.axis),
                  },
                ]
              : []
          }
        />
      </div>
      <VerdictLine verdict={verdict} note={note} />
      {!manifest || !shown || !whole || !tree ? (
        <Waiting />
      ) : view.table.value ? (
        <div class="tables">
          <ValueTable shown={shown} rows={rows} pinned={pinned} />
          {scalars && <ScalarTable scalars={scalars} axis={shown.main.axis} />}
        </div>
      ) : (
        <Picture
          manifest={manifest}
          shown={shown}
          whole={whole}
          pair={shown.b ? pair : null}
          scalars={scalars}
          tree={tree}
          rows={rows}
          selected={selected}
          pinned={pinned}
          hover={hover}
          width={lastWidth}
          attach={attach}
          nonFinite={nonFinite}
        />
      )}
      {shown && <Readout shown={shown} selected={selected} pinned={pinned} hover={hover} />}
    </div>
  );
}

const LONGEST = 24;

/** By their names, unless these would fill the sentence. */
function calledIn(pair: Pair): Compared {
  const fits = (name: string) => name !== "" && name.length <= LONGEST;
  return fits(pair.a) && fits(pair.b) ? pair : { a: "A", b: "B" };
}

/** The two runs, once it is known what the second one's rows are. */
function usePair(): Pair | null {
  const [first, second] = [store.value, other.value];
  const [a, b] = [first?.manifest.value ?? null, second?.manifest.value ?? null];
  return useMemo(
    () => (first && second && a && b ? { a: first.name, b: second.name, joint: jointRows(a, b) } : null),
    [first, second, a, b],
  );
}
