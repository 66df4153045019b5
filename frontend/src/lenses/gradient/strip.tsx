/** Below the rows: what the selected row is, and its numbers over time. */
import { useMemo, useRef } from "preact/hooks";
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import { useCanvas, useLate, useSize } from "../../base/hooks";
import { logScale, type Scale } from "../../base/scales";
import type { Manifest } from "../../data/manifest";
import type { TreeNode } from "../../data/tree";
import { type Theme, theme } from "../../views/theme";
import { drawStrip } from "./draw_strip";
import { countNonFinite, type HeatModel, type Span } from "./model";
import type { PictureProps } from "./picture_props";

export function Strip(props: PictureProps & { readonly sample: number }) {
  const { manifest, tree, pinned } = props;
  const model = useLate(props.model);
  // Nothing chosen: all rows together, so that there is always a curve to read.
  const selected = props.selected ?? tree;
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const span = model?.span(selected) ?? null;
  const canvas = useMemo(
    () =>
      model &&
      span && (
        <StripCanvas
          model={model}
          node={selected}
          scale={rowScale(model, span)}
          width={width}
          height={height}
          theme={theme.value}
        />
      ),
    [model, selected, span, width, height, theme.value],
  );
  const at = (sample: number) => `${props.model.unitOf(sample) * width}px`;
  return (
    <>
      <div class="strip-about">
        <About manifest={manifest} node={selected} kind={props.model.statistic.rows} />
      </div>
      <div class="strip-plot" ref={box}>
        <div
          role="img"
          aria-label={`${props.model.statistic.label} of ${selected.name || "all rows"} over the steps shown`}
        >
          {canvas}
        </div>
        {pinned >= 0 && <div class="cross pinned" style={{ left: at(pinned) }} />}
        {props.hover.value && <div class="cross" style={{ left: at(props.sample) }} />}
      </div>
      <div class="strip-facts">{model && span && <Facts model={model} node={selected} span={span} />}</div>
    </>
  );
}

function StripCanvas(p: {
  model: HeatModel;
  node: TreeNode;
  scale: Scale;
  width: number;
  height: number;
  theme: Theme;
}) {
  const canvas = useCanvas((element) => drawStrip(element, p.model, p.node, p.scale, p.width, p.height, p.theme));
  return <canvas ref={canvas} style={{ width: `${p.width}px`, height: `${p.height}px` }} />;
}

/** The row's own range, at least a decade: a line that uses the height it has. */
function rowScale(model: HeatModel, span: Span): Scale {
  const { scale } = model.loaded.domain;
  if (model.statistic.scale !== "log" || !(span.high > 0)) return scale;
  const low = span.low > 0 ? span.low : Math.min(span.high, scale.low);
  const [from, to] = [Math.log10(low), Math.log10(span.high)];
  const slack = Math.max(0, (1 - (to - from)) / 2);
  return logScale(10 ** (from - slack), 10 ** (to + slack));
}

function About({ manifest, node, kind }: { manifest: Manifest; node: TreeNode; kind: "layers" | "parameters" }) {
  if (node.kind === "group") {
    return (
      <>
        <strong title={node.name}>{node.name || `All ${kind}`}</strong>
        <span class="muted">{plural(node.rows.length, kind === "layers" ? "layer" : "parameter")} together</span>
        <span class="muted">The line is the worst, the band all of them</span>
      </>
    );
  }
  const layer = kind === "layers" ? manifest.layers[node.row] : undefined;
  const parameter = kind === "parameters" ? manifest.parameters[node.row] : undefined;
  const missing = manifest.notObserved.get(node.name);
  return (
    <>
      <strong title={node.name}>{node.name || "model output"}</strong>
      {layer && (
        <span class="muted">
          {layer.kind === "function" ? `function ${layer.type}` : layer.type}
          {layer.shape.length > 0 && <> · {layer.shape.join(" × ")}</>}
          {layer.units !== null && layer.units > 0 && <> · {plural(layer.units, "unit")}</>}
        </span>
      )}
      {layer?.source && <span class="muted">{layer.source}</span>}
      {parameter && (
        <span class="muted">
          {parameter.shape.join(" × ") || "scalar"} · {parameter.trainable ? "trainable" : "frozen"}
        </span>
      )}
      {missing && <span class="warn">Not measured: {missing}</span>}
    </>
  );
}

function Facts({ model, node, span }: { model: HeatModel; node: TreeNode; span: Span }) {
  const say = model.statistic.scale === "share" ? formatShare : formatValue;
  const { steps } = model.loaded.series;
  const broken = useMemo(() => (span.broken ? countNonFinite(model, node.rows) : null), [model, node, span]);
  return (
    <dl>
      <dt>Highest</dt>
      <dd>{Number.isNaN(span.high) ? "–" : say(span.high)}</dd>
      <dt>Lowest</dt>
      <dd>{Number.isNaN(span.low) ? "–" : say(span.low)}</dd>
      <dt>Not finite</dt>
      <dd>
        {broken ? `${formatCount(broken.times)} from step ${formatCount(steps[broken.first] as number)}` : "never"}
      </dd>
    </dl>
  );
}
