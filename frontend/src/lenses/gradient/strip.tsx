/** Below the rows: what the selected row is, and its numbers over time. */
import { formatCount, plural } from "../../base/format";
import { useMemo } from "../../base/hooks";
import type { Scale } from "../../base/scales";
import { lineScale } from "../../data/domain";
import type { Manifest } from "../../data/manifest";
import { say } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";
import { drawStrip } from "./draw_strip";
import { countNonFinite, type HeatModel, type Span } from "./model";
import { Crosses, Panel } from "./panel";
import type { PictureProps } from "./picture_props";
import type { Shown } from "./shown";
import { nounOf } from "./verdict";

/** The values themselves, whatever the colours show. */
export function Strip(props: PictureProps & { readonly late: Shown | undefined; readonly node: TreeNode }) {
  const { manifest, pinned, hover, late, node: selected } = props;
  const [model, other] = [late?.a ?? null, late?.b ?? null];
  const spans = [model, other].flatMap((of) => of?.span(selected) ?? []);
  const { label } = props.shown.a.statistic;
  return (
    <>
      <div class="strip-about">
        <About manifest={manifest} node={selected} noun={nounOf(props.shown.a.statistic)} />
      </div>
      <Panel
        class="strip-plot"
        label={`${label} of ${selected.name || "all rows"} over the steps shown`}
        draw={(...pen) => model && drawStrip(model, other, selected, rowScale(model, spans), ...pen)}
        of={[model, other, selected]}
      >
        {(width) => <Crosses model={props.shown.main} pinned={pinned} hover={hover} width={width} />}
      </Panel>
      <div class="strip-facts">{model && <Facts model={model} node={selected} spans={spans} />}</div>
    </>
  );
}

/** The row's own range, at least a decade: a line that uses the height it has. */
function rowScale({ loaded, statistic }: HeatModel, spans: readonly Span[]): Scale {
  const { scale } = loaded.domain;
  if (statistic.scale !== "log") return scale;
  return lineScale(
    "log",
    spans.flatMap(({ low, high }) => [low === 0 ? scale.low : low, high]),
  );
}

function About({ manifest, node, noun }: { manifest: Manifest; node: TreeNode; noun: string }) {
  const missing = manifest.notObserved.get(node.name);
  const group = node.kind === "group";
  return (
    <>
      <strong title={node.name}>{node.name || (group ? `All ${noun}s` : "model output")}</strong>
      <span class="muted">{group ? `${plural(node.rows.length, noun)} together` : node.detail}</span>
      {group && <span class="muted">The line is the worst, the band all of them</span>}
      {missing && <span class="warn">Not measured: {missing}</span>}
    </>
  );
}

function Facts({ model, node, spans }: { model: HeatModel; node: TreeNode; spans: readonly Span[] }) {
  const { steps } = model.loaded.series;
  const broken = useMemo(() => model.span(node).broken && countNonFinite(model, node.rows), [model, node]);
  const read = (value: number) => (Number.isNaN(value) ? "–" : say(model.statistic.scale, value));
  return (
    <dl title={spans.length > 1 ? "A · B" : ""}>
      <dt>Highest</dt>
      <dd>{spans.map(({ high }) => read(high)).join(" · ")}</dd>
      <dt>Lowest</dt>
      <dd>{spans.map(({ low }) => read(low)).join(" · ")}</dd>
      <dt>Not finite</dt>
      <dd>
        {broken ? `${formatCount(broken.times)} from step ${formatCount(steps[broken.first] as number)}` : "never"}
      </dd>
    </dl>
  );
}
