/** The picture: overview, axis, then tree | heat map | depth profile on shared rows, and the selected row over time. */
import { useSignal } from "@preact/signals";
import { formatCount, plural } from "../../base/format";
import { useLate, useMemo } from "../../base/hooks";
import { FINITE, NONFINITE } from "../../data/series";
import { say } from "../../data/statistics";
import { inLines, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { SeverityIcon } from "../../views/icons";
import type { RowWindow } from "../../views/row_frame";
import { TimeAxis } from "../../views/time_axis";
import { TreeFrame } from "../../views/tree_rows";
import { HeatPane } from "./heat_pane";
import type { HeatModel } from "./model";
import { Overview } from "./overview";
import { loneIn, type Pair } from "./pair";
import type { PictureProps } from "./picture_props";
import { ProfileAxis, ProfileHead, ProfilePane, useBand } from "./profile_pane";
import { ScalarsStrip } from "./scalars_strip";
import { Strip } from "./strip";
import { nounOf } from "./verdict";

/** As high as the overview is, in pixels. */
const OVERVIEW_LINES = 48;

export function Picture(props: PictureProps) {
  const { shown, whole, pair, scalars, tree, rows, selected, pinned, hover, width } = props;
  const { main: model } = shown;
  const { series } = model.loaded;
  const rowView = useSignal<RowWindow | null>(null);
  const kind = model.statistic.rows;
  const sample = hover.value?.sample ?? pinned;
  const noun = nounOf(model.statistic);
  const title = kind === "layers" ? "Layers" : "Parameters";
  const band = useBand(props.manifest, shown, sample);
  const lines = useMemo(() => inLines(tree, OVERVIEW_LINES), [tree]);
  // Nothing chosen: all rows together, so that there is always a curve to read.
  const node = selected ?? lines;
  const next = useMemo(() => ({ shown, whole }), [shown, whole]);
  const late = useLate(next, function* () {
    const models = selected ? [whole] : [whole, shown.a, shown.b];
    for (const m of models) for (const line of lines.children) yield m?.of(line);
  });
  return (
    <div class="picture-grid">
      <div class="corner">
        <span class="corner-title">{title}</span>
        <span class="muted">
          {plural(tree.rows.length, noun)}, {plural(series.count, "sampled step")}
        </span>
      </div>
      <Overview {...props} late={late?.whole} lines={lines} rowView={rowView} />
      <ProfileHead shown={shown} pair={pair} band={band} sample={sample} />

      <div class="column-heads">
        <span>
          {view.search.value.trim() && `${plural(rows.filter((r) => r.node.kind === "leaf").length, noun)} found`}
        </span>
        <span class="muted">at step {formatCount(series.steps[sample] as number)}</span>
      </div>
      <div class="axis-cell" ref={props.attach}>
        <TimeAxis axis={model.axis} width={width} />
      </div>
      <ProfileAxis model={shown.a} />

      {width > 0 && (
        <TreeFrame
          label={title}
          kind={kind}
          tree={tree}
          rows={rows}
          selected={selected}
          highlight={hover.value?.node ?? null}
          cells={(row) => <ValueCell model={model} pair={pair} row={row} sample={sample} />}
          ahead
          at={rowView}
        >
          {(window) => (
            <>
              <HeatPane {...props} view={window} />
              <ProfilePane {...props} band={band} view={window} sample={sample} />
            </>
          )}
        </TreeFrame>
      )}

      <Strip {...props} late={late?.shown} node={node} />
      {scalars && <ScalarsStrip {...props} scalars={scalars} sample={sample} />}
    </div>
  );
}

function ValueCell(props: { model: HeatModel; pair: Pair | null; row: VisibleRow; sample: number }) {
  const { model, pair, row, sample } = props;
  if (row.expanded) return <div role="gridcell" class="tree-value" />;
  const cell = model.cell(row.node, sample);
  const { rows, scale } = model.statistic;
  const lone = pair && loneIn(pair, rows, row.node);
  const text = !Number.isNaN(cell.value) ? say(scale, cell.value) : cell.state === NONFINITE ? "NaN" : lone ? "" : "–";
  return (
    <div role="gridcell" class={`tree-value${cell.state === FINITE ? "" : " weak"}`}>
      {model.span(row.node).broken && (
        <span title="Not finite on at least one step shown">
          <SeverityIcon severity="critical" />
        </span>
      )}
      {lone && (
        <span class="lone" title={`Only run ${lone === "A" ? pair?.a : pair?.b} has this`}>
          only {lone}
        </span>
      )}
      {text}
    </div>
  );
}
