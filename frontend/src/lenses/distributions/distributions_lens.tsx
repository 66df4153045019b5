/** Distributions: is anything drifting, saturating, collapsing, or out of its number format's reach? */
import { useComputed, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import { useEffect, useMeasure, useMemo } from "../../base/hooks";
import { summaryOf } from "../../data/histograms";
import type { Manifest } from "../../data/manifest";
import type { RunStore } from "../../data/run_store";
import { store } from "../../data/session";
import { addressOf } from "../../data/tree";
import * as view from "../../data/view";
import { FoldButtons, TableSwitch } from "../../views/controls";
import { ExportMenu } from "../../views/export_menu";
import { useStepKeys } from "../../views/keys";
import { Swatch } from "../../views/legend";
import type { RowWindow } from "../../views/row_frame";
import { trees, useRows } from "../../views/rows";
import { CursorLine } from "../../views/status_line";
import { TreeFrame } from "../../views/tree_rows";
import { VerdictLine } from "../../views/verdict_line";
import { Waiting } from "../../views/waiting";
import { useFollowKey } from "../follow";
import { useLatest, useSticky } from "../keep";
import { by, chosenIn, formatFor, kindIn, ownFormat, rowsOf, scale } from "./choices";
import { type Column, csvOf } from "./export";
import { HistogramTable } from "./histogram_table";
import { pictureOverDepth, pictureOverSteps } from "./model";
import { type Cursor, RidgeKeys, Ridges } from "./picture";
import { Readout } from "./readout";
import { BROKEN_WIDTH, LOSS_WIDTH } from "./ridge_drawing";
import { isBroken, recordAt } from "./ridges";
import { columnsOverDepth, columnsOverSteps, namesOf, useVersus, worstOf } from "./selection";
import { Spread, spanOf } from "./spread";
import { Choices } from "./toolbar";
import { noteOf, pictureWords, silence, verdictOverDepth, verdictOverSteps } from "./words";

const NONE = "This run has no histograms. attach_hooks records them unless it is told histograms=False";

export function DistributionsLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  const kind = manifest ? kindIn(manifest) : null;
  if (run && manifest && kind !== null) {
    return <Distributions run={run} manifest={manifest} kind={kind} />;
  }
  return (
    <div class="lens">
      <div class="toolbar">
        <span class="spring" />
        <ExportMenu what="distributions" />
      </div>
      <VerdictLine verdict={null} note="" />
      {manifest ? (
        <p class="findings-part muted" style={{ flex: 1 }}>
          {NONE}
        </p>
      ) : (
        <Waiting />
      )}
      <CursorLine />
    </div>
  );
}

interface DistributionsProps {
  readonly run: RunStore;
  readonly manifest: Manifest;
  readonly kind: string;
}

function Distributions({ run, manifest, kind }: DistributionsProps) {
  const kindOfRows = rowsOf(kind);
  const tree = trees[kindOfRows].value;
  const noun = kindOfRows === "layers" ? "layer" : "parameter";
  const names = useMemo(() => namesOf(manifest, kind), [manifest, kind]);
  const step = view.step.value;
  const chosen = tree && chosenIn(tree, manifest, kind, view.layer.value);
  const leaf = chosen?.kind === "leaf" ? chosen : null;

  // Of the pinned step only its record counts: all steps between two records show the same.
  const early = leaf ? run.histograms.ofRow(kind, leaf.name).value : null;
  const asked = step !== null && early ? (early.steps[recordAt(early.steps, step)] ?? null) : step;
  const record = useLatest(step === null || early || !leaf ? run.histograms.atStep(kind, asked).value : null, kind);
  const worst = useSticky(
    `${kind} ${chosen?.key}`,
    () => tree && record && worstOf(tree, record, manifest, kind, chosen),
  );
  const shown = leaf ?? worst;
  const history = useLatest(shown ? run.histograms.ofRow(kind, shown.name).value : null, kind);
  // Whose history is on screen: until that of another row is here, the one before.
  const shownName = history?.row ?? shown?.name ?? null;
  const overSteps = by.value === "steps";
  const recordStep = record?.steps[0] ?? 0;
  const versus = useVersus(kind, shownName, record?.steps[0], names, overSteps);

  const own = ownFormat(manifest, kind, names.indexOf(shownName ?? ""));
  const format = formatFor(own);
  const rows = useRows(kindOfRows, tree, chosen);
  const range = view.range.value;
  const { width, attach } = useMeasure<HTMLDivElement>();
  // The rest of the lens does not follow the scroll position, only the drawing does.
  const frame = useSignal<RowWindow | null>(null);
  const height = useComputed(() => frame.value?.height ?? 0).value;
  const rowHeight = useComputed(() => frame.value?.rowHeight ?? 0).value;
  const hover = useSignal<Cursor | null>(null);
  const cursor = useSignal<Cursor | null>(null);

  const data = overSteps ? history : record;
  const broken = data?.list.some(isBroken) ?? false;
  const left = overSteps ? 64 : 16;
  const across = Math.max(80, width - left - 16 - (format ? LOSS_WIDTH : 0) - (broken ? BROKEN_WIDTH : 0));
  const selected = chosen ?? shown;
  const picture = useMemo(() => {
    const options = { scale: scale.value, width: across, format };
    if (!data || data.list.length === 0 || height === 0) return null;
    return overSteps
      ? pictureOverSteps(data, versus.data, range, step, height, options)
      : pictureOverDepth(data, versus.data, rows, selected?.key ?? null, rowHeight, options);
  }, [
    overSteps,
    data,
    versus.data,
    scale.value,
    across,
    format,
    height,
    ...(overSteps ? [range, step] : [rows, selected, rowHeight]),
  ]);
  const pointing = { hover, cursor, scene: () => (frame.peek() && picture?.scene(frame.peek() as RowWindow)) ?? null };

  useStepKeys(history?.steps);
  useFollowKey();
  // Bins and ridges of one kind are not those of another.
  useEffect(() => {
    cursor.value = null;
  }, [kind]);

  const pinned = history ? recordAt(history.steps, step) : -1;
  const nameOf = (row: number): string => names[row] || "the model";
  const verdict =
    data && (overSteps ? verdictOverSteps(data, pinned, format, own) : verdictOverDepth(data, format, nameOf, noun));
  const columns = (): readonly Column[] =>
    !data ? [] : overSteps ? columnsOverSteps(data, range) : columnsOverDepth(data, rows, names);
  const span = useMemo(() => (record ? spanOf(record) : null), [record]);
  const title = overSteps ? shownName || "model output" : `All ${kindOfRows} at step ${formatCount(recordStep)}`;
  const drawing = useRef<HTMLDivElement>(null);
  const silent = data?.list.every((h) => h.total === 0);
  const table = view.table.value;
  const shownColumns = table ? columns() : [];
  return (
    <div class="lens">
      <div class="toolbar">
        <Choices manifest={manifest} kind={kind} own={own} shown={format} />
        <span class="spring" />
        {tree && <FoldButtons kind={kindOfRows} tree={tree} />}
        <TableSwitch />
        <ExportMenu
          what={`${kind}-${overSteps ? (shownName ?? "") : "depth"}`}
          csv={data ? () => csvOf(kind, columns()) : null}
          svg={!table ? () => drawing.current?.querySelector<SVGSVGElement>("svg.ridges") ?? null : null}
        />
      </div>
      <VerdictLine verdict={verdict} note={noteOf(scale.value, picture?.cut ?? false)} />
      {!tree || !record || !span ? (
        <Waiting />
      ) : (
        <div class="distributions">
          <div class="distributions-corner">
            <span>{noun === "layer" ? "Layer" : "Parameter"}</span>
            <span class="num" title="1st to 99th percentile of magnitudes and their median, on one axis for all rows">
              Spread at {formatCount(recordStep)}
            </span>
          </div>
          <div class="distributions-head">
            <h2 title={title}>{title}</h2>
            <span class="muted">
              {overSteps
                ? `${plural(history?.list.length ?? 0, "record")}, each from up to 4,096 evenly spread values`
                : "from up to 4,096 evenly spread values each; a closed group shows its mean and its worst loss"}
            </span>
            <span class="spring" />
            <Swatch mark="share" text={versus.name === null ? "share of values" : run.name} />
            {versus.name !== null && (
              <Swatch mark="other" text={versus.data ? versus.name : `${versus.name} has nothing here`} />
            )}
            {format && <Swatch mark="lost" text={`lost in ${format.label}`} />}
            {data?.list.some((h) => summaryOf(h).zero > 0) && <Swatch mark="zero" text="zero" />}
            {broken && <Swatch mark="nonfinite" text="NaN or Inf" />}
          </div>
          <TreeFrame
            label={`Distributions by ${noun}; column: spread of magnitudes`}
            kind={kindOfRows}
            tree={tree}
            rows={rows}
            selected={selected}
            cells={(row) => <Spread data={record} row={row} span={span} />}
            at={frame}
          >
            {() =>
              !table ? (
                <RidgeKeys
                  pointing={pointing}
                  left={left}
                  label={pictureWords(kind, overSteps ? shownName : null, verdict?.text ?? "")}
                  attach={attach}
                  onPin={(place) => {
                    if (overSteps) view.step.value = history?.steps[place] ?? null;
                    else if (rows[place]) view.layer.value = addressOf(rows[place].node);
                  }}
                />
              ) : (
                <div ref={attach} class="ridge-keys" />
              )
            }
          </TreeFrame>
          <div class={table ? "distributions-table" : "distributions-drawing"} ref={drawing}>
            {table ? (
              <HistogramTable
                columns={shownColumns}
                byRow={!overSteps}
                format={format}
                pinned={shownColumns.findIndex((c) =>
                  overSteps ? c.step === history?.steps[pinned] : c.row === leaf?.name,
                )}
              />
            ) : silent ? (
              <p class="findings-part muted">{silence(manifest, overSteps ? shownName : null)}</p>
            ) : (
              picture && (
                <Ridges
                  picture={picture}
                  frame={frame}
                  pointing={pointing}
                  width={width}
                  left={left}
                  format={format}
                  broken={broken}
                />
              )
            )}
          </div>
        </div>
      )}
      <Readout
        pointing={pointing}
        format={format}
        nameAt={(place) => {
          const name = overSteps ? shownName : rows[place]?.node.name;
          return [name || "model output", overSteps ? (history?.steps[place] ?? 0) : recordStep];
        }}
      />
    </div>
  );
}
