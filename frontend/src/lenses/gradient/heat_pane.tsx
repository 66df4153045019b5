/** The heat map with its crosshair, gestures and keyboard cursor. */
import { formatCount, plural } from "../../base/format";
import { say } from "../../data/statistics";
import { addressOf, type TreeNode } from "../../data/tree";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import { useDrawing } from "../../views/drawing";
import { KeyPicture } from "../../views/key_picture";
import { useKeyNotes } from "../../views/keys";
import type { RowWindow } from "../../views/row_frame";
import { drawHeatMap } from "./draw_heat_map";
import { Crosses } from "./panel";
import type { PictureProps } from "./picture_props";
import { nextStep, pin, zoomRange } from "./pointing";
import { nounOf } from "./verdict";

export function HeatPane(props: PictureProps & { readonly view: RowWindow }) {
  const { rows, selected, pinned, hover, width } = props;
  const { main: model } = props.shown;
  const { series } = model.loaded;
  const { scrollTop, height, rowHeight, first, last } = props.view;
  const canvas = useDrawing(
    width,
    height,
    (context, theme) => drawHeatMap(props.shown, rows, props.view, context, theme, width),
    [props.shown, rows, scrollTop, rowHeight, first, last],
  );
  const nodeAt = (y: number): TreeNode | null => rows[Math.floor((y + scrollTop) / rowHeight)]?.node ?? null;
  const index = rows.findIndex((r) => r.node === (hover.value ? hover.value.node : selected));

  useKeyNotes("Heat map", [
    { keys: ["ArrowLeft", "ArrowRight"], text: "Previous, next sampled step; with Shift, ten" },
    { keys: ["ArrowUp", "ArrowDown"], text: "Row above, below" },
    { keys: ["Home", "End"], text: "First, last sampled step" },
    { keys: ["Escape"], text: "No row" },
  ]);
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
      Escape: () => {
        view.layer.value = null;
      },
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
      axis={model.axis}
      onHover={(unit, y) => {
        const node = nodeAt(y);
        const next = model.sampleIn(node, unit);
        hover.value = next < 0 ? null : { node, sample: next };
      }}
      onLeave={() => {
        hover.value = null;
      }}
      onClick={(unit, y) => pin(nodeAt(y), series, model.sampleIn(nodeAt(y), unit))}
      onWheel={(unit, zoom, pan) => zoomRange(model, unit, zoom, pan)}
    >
      <KeyPicture testid="heatmap" label={describe(props)} onKeyDown={onKeyDown}>
        {canvas}
      </KeyPicture>
      <Crosses model={model} pinned={pinned} hover={hover} width={width} />
      {index >= 0 && (
        <div class="cross-row" style={{ top: `${index * rowHeight - scrollTop}px`, height: `${rowHeight - 1}px` }} />
      )}
    </Brush>
  );
}

/** The picture in one sentence, for those who cannot see it. */
export function describe({ shown: { main: model }, tree, pair, nonFinite }: PictureProps): string {
  const { series, domain } = model.loaded;
  const read = (value: number) => say(model.statistic.scale, value);
  const noun = nounOf(model.statistic);
  const span = `steps ${formatCount(Math.round(model.axis.from))} to ${formatCount(series.steps[model.window()[1] - 1] ?? Math.round(model.axis.to))}`;
  const values = domain.empty
    ? "nothing finite"
    : `colours from ${read(domain.scale.low)} to ${read(domain.scale.high)}`;
  const broken = nonFinite
    ? `; ${plural(nonFinite.rows, noun)} not finite, first at step ${formatCount(nonFinite.firstStep)}`
    : "";
  const runs = pair ? `; A is run ${pair.a}, B is run ${pair.b}` : "";
  return `Heat map of ${model.statistic.label}: ${plural(tree.rows.length, noun)}, ${span}, ${values}${broken}${runs}`;
}
