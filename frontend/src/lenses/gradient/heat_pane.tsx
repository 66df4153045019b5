/** The heat map with its crosshair, gestures and keyboard cursor. */
import { useMemo } from "preact/hooks";
import { formatCount, formatValue, plural } from "../../base/format";
import { useCanvas } from "../../base/hooks";
import { addressOf, type TreeNode, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import type { RowWindow } from "../../views/row_frame";
import { type Theme, theme } from "../../views/theme";
import { drawHeatMap } from "./draw_heat_map";
import type { HeatModel } from "./model";
import type { PictureProps } from "./picture_props";
import { nextStep, pin, setRange, zoomRange } from "./pointing";
import type { NonFinite } from "./verdict";

interface HeatCanvasProps {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly width: number;
  readonly theme: Theme;
}

function HeatCanvas(props: HeatCanvasProps) {
  const canvas = useCanvas((element) => drawHeatMap(element, props));
  return <canvas ref={canvas} style={{ width: `${props.width}px`, height: `${props.view.height}px` }} />;
}

export function HeatPane(props: PictureProps & { readonly view: RowWindow }) {
  const { model, rows, selected, pinned, hover, width } = props;
  const { series } = model.loaded;
  const { scrollTop, height, rowHeight, first, last } = props.view;
  // The same node means "unchanged" to Preact: a moving crosshair does not draw the map again.
  const canvas = useMemo(
    () => <HeatCanvas model={model} rows={rows} view={props.view} width={width} theme={theme.value} />,
    [model, rows, width, scrollTop, height, rowHeight, first, last, theme.value],
  );
  const nodeAt = (y: number): TreeNode | null => rows[Math.floor((y + scrollTop) / rowHeight)]?.node ?? null;
  const index = rows.findIndex((r) => r.node === (hover.value ? hover.value.node : selected));
  const sample = hover.value?.sample ?? pinned;
  const at = (s: number) => model.unitOf(s) * width;

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const current = rows.findIndex((r) => r.node === selected);
    const row = (by: number) => rows[Math.max(0, Math.min(rows.length - 1, current + by))]?.node ?? null;
    const step = (by: number) => {
      view.step.value = nextStep(series, pinned, by);
    };
    const moves: Record<string, () => void> = {
      ArrowRight: () => step(event.shiftKey ? 10 : 1),
      ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      ArrowDown: () => pin(row(1), series, pinned),
      ArrowUp: () => pin(row(-1), series, pinned),
      Home: () => step(-series.count),
      End: () => step(series.count),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    hover.value = null;
    if (selected === null && rows[0]) view.layer.value = addressOf(rows[0].node);
    move();
  };

  return (
    <Brush
      class="heat"
      onHover={(unit, y) => {
        const node = nodeAt(y);
        const next = model.sampleIn(node, unit);
        hover.value = next < 0 ? null : { node, sample: next };
      }}
      onLeave={() => {
        hover.value = null;
      }}
      onClick={(unit, y) => pin(nodeAt(y), series, model.sampleIn(nodeAt(y), unit))}
      onRange={(from, to) => setRange(model, from, to)}
      onReset={() => {
        view.range.value = null;
      }}
      onWheel={(unit, zoom, pan) => zoomRange(model, props.extent, unit, zoom, pan)}
    >
      <div
        class="heat-focus"
        role="img"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the cell cursor moves with the arrow keys
        tabIndex={0}
        data-testid="heatmap"
        aria-label={describe(props.model, props.tree, props.nonFinite)}
        aria-describedby="heat-keys"
        onKeyDown={onKeyDown}
      >
        {canvas}
      </div>
      {pinned >= 0 && <div class="cross pinned" style={{ left: `${at(pinned)}px` }} />}
      {hover.value && <div class="cross" style={{ left: `${at(sample)}px` }} />}
      {index >= 0 && (
        <div class="cross-row" style={{ top: `${index * rowHeight - scrollTop}px`, height: `${rowHeight - 1}px` }} />
      )}
    </Brush>
  );
}

/** The picture in one sentence, for those who cannot see it. */
export function describe(model: HeatModel, tree: TreeNode, nonFinite: NonFinite | null): string {
  const { series, domain } = model.loaded;
  const noun = model.statistic.rows === "layers" ? "layer" : "parameter";
  const span = `steps ${formatCount(Math.round(model.axis.from))} to ${formatCount(series.steps[series.count - 1] ?? 0)}`;
  const values = domain.empty
    ? "nothing finite"
    : `colours from ${formatValue(domain.scale.low)} to ${formatValue(domain.scale.high)}`;
  const broken = nonFinite
    ? `; ${plural(nonFinite.rows, noun)} not finite, first at step ${formatCount(nonFinite.firstStep)}`
    : "";
  return `Heat map of ${model.statistic.label}: ${plural(tree.rows.length, noun)}, ${span}, ${values}${broken}`;
}
