/** The picture: overview, axis, then tree | heat map | depth profile on shared rows, and the selected row over time. */
import { useState } from "preact/hooks";
import { formatCount, formatValue, plural } from "../../base/format";
import { FINITE, NONFINITE } from "../../data/series";
import { addressOf, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { SeverityIcon } from "../../views/icons";
import { RowFrame, type RowWindow } from "../../views/row_frame";
import { toggle } from "../../views/rows";
import { TimeAxis } from "../../views/time_axis";
import { TreeRows } from "../../views/tree_rows";
import { HeatPane } from "./heat_pane";
import type { HeatModel } from "./model";
import { Overview } from "./overview";
import type { PictureProps } from "./picture_props";
import { ProfileAxis, ProfilePane } from "./profile_pane";
import { Strip } from "./strip";

export function Picture(props: PictureProps) {
  const { model, whole, tree, rows, selected, pinned, hover } = props;
  const [gutter, setGutter] = useState(0);
  const [rowView, setRowView] = useState<RowWindow | null>(null);
  const kind = model.statistic.rows;
  const sample = hover.value?.sample ?? pinned;
  const steps = model.loaded.series.steps;
  const active = rows.findIndex((r) => r.node === selected);
  const noun = kind === "layers" ? "layer" : "parameter";
  return (
    <div class="picture-grid" style={{ "--gutter": `${gutter}px` }}>
      <div class="corner">
        <span class="corner-title">{kind === "layers" ? "Layers" : "Parameters"}</span>
        <span class="muted">
          {plural(tree.rows.length, noun)}, {plural(model.loaded.series.count, "sampled step")}
        </span>
      </div>
      <Overview model={whole} tree={tree} rows={rows} rowView={rowView} extent={props.extent} />
      <div class="corner end">
        <span class="corner-title">Depth profile</span>
        <span class="muted">at step {formatCount(steps[sample] as number)}</span>
      </div>

      <div class="column-heads">
        <span>
          {view.search.value.trim() ? `${plural(rows.filter((r) => r.node.kind === "leaf").length, noun)} found` : ""}
        </span>
        <span class="muted">at step {formatCount(steps[sample] as number)}</span>
      </div>
      <div class="axis-cell" ref={props.attach}>
        <TimeAxis axis={model.axis} width={props.width} />
      </div>
      <ProfileAxis model={model} />

      {props.width > 0 && (
        <RowFrame
          rows={rows.length}
          active={active}
          activeKey={selected?.key ?? null}
          onGutter={setGutter}
          onView={(v) => sameView(v, rowView) || setRowView(v)}
        >
          {(window) => (
            <>
              <TreeRows
                label={kind === "layers" ? "Layers" : "Parameters"}
                rows={rows}
                view={window}
                selected={selected?.key ?? null}
                highlight={hover.value?.node ? rows.findIndex((r) => r.node === hover.value?.node) : -1}
                onSelect={(node) => {
                  view.layer.value = addressOf(node);
                }}
                onToggle={(node, open) => toggle(kind, tree, node.key, open)}
                cells={(row) => <ValueCell model={model} row={row} sample={sample} />}
              />
              <HeatPane {...props} view={window} />
              <ProfilePane model={model} rows={rows} view={window} sample={sample} selected={selected?.key ?? null} />
            </>
          )}
        </RowFrame>
      )}

      <Strip {...props} sample={sample} />
    </div>
  );
}

function ValueCell({ model, row, sample }: { model: HeatModel; row: VisibleRow; sample: number }) {
  if (row.expanded) return <div role="gridcell" class="tree-value" />;
  const cell = model.cell(row.node, sample);
  const broken = model.span(row.node).broken;
  const text = !Number.isNaN(cell.value) ? formatValue(cell.value) : cell.state === NONFINITE ? "NaN" : "–";
  return (
    <div role="gridcell" class={`tree-value${cell.state === FINITE ? "" : " weak"}`}>
      {broken && (
        <span title="Not finite on at least one step shown">
          <SeverityIcon severity="critical" />
        </span>
      )}
      {text}
    </div>
  );
}

function sameView(a: RowWindow, b: RowWindow | null): boolean {
  return b !== null && a.first === b.first && a.last === b.last && a.height === b.height;
}
