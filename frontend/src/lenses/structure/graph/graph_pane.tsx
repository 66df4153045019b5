/** The dataflow as a graph: what feeds what, coloured by a vital sign at the cursor step. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { formatCount, plural } from "../../../base/format";
import { useMemo } from "../../../base/hooks";
import { svgText } from "../../../base/svg";
import type { RunStore } from "../../../data/run_store";
import { ancestorsOf, nodeAt, type TreeNode } from "../../../data/tree";
import * as view from "../../../data/view";
import { FoldButtons, StatisticSelect, TableSwitch } from "../../../views/controls";
import { type ExportFile, ExportMenu } from "../../../views/export_menu";
import { useKeys } from "../../../views/keys";
import { Legend } from "../../../views/legend";
import { statistic as chosenStatistic, expandedIn, setExpanded, useReveal } from "../../../views/rows";
import { theme } from "../../../views/theme";
import { VerdictLine, type VerdictLineProps } from "../../../views/verdict_line";
import { Waiting } from "../../../views/waiting";
import { treeOf } from "../facts";
import { ModeSwitch } from "../mode_switch";
import { paintOf } from "../paint";
import { cellAt, type Vitals } from "../vitals";
import { vitalText } from "../words";
import { type Camera, whole } from "./camera";
import type { Look } from "./drawing";
import { GraphReadout } from "./graph_readout";
import { GraphView, type Shown } from "./graph_view";
import { layoutOf } from "./layout_client";
import { requestOf } from "./request";
import { affordable, type Box, MOST_BOXES, paged, sceneOf } from "./scene";

const KIND = "structure-graph";

export interface GraphPaneProps {
  readonly vitals: Vitals;
  readonly run: RunStore;
  readonly verdict: VerdictLineProps["verdict"];
  readonly csv: () => string;
  readonly dot: ExportFile;
}

export function GraphPane({ vitals, run, verdict, csv, dot }: GraphPaneProps) {
  const { facts, manifest, step } = vitals;
  const statistic = chosenStatistic.value;
  const loaded = manifest.statistics.includes(statistic.name) ? run.seriesOf(statistic.name).value : null;
  const drawing = useRef<SVGSVGElement>(null);
  const hover = useSignal<string | null>(null);
  const camera = useSignal<Camera | null>(null);
  const shown = useRef<Shown | null>(null);

  // What only the other run has feeds nothing here.
  const tree = useMemo(() => paged(treeOf(facts, (i) => facts[i]?.where !== "there")), [facts]);
  const chosen = view.layer.value === null ? null : nodeAt(tree, view.layer.value);
  useReveal(KIND, tree, chosen);
  const wanted = expandedIn(KIND, tree);
  const open = useMemo(
    () => affordable(tree, wanted, chosen ? (ancestorsOf(tree, chosen.key) ?? []) : []),
    [tree, wanted, chosen],
  );
  const opened = [...open].join(" ");
  const scene = useMemo(
    () => sceneOf(tree, open, manifest.edges, (i) => facts[i]?.row ?? -1),
    [tree, opened, manifest.edges],
  );
  const request = useMemo(() => requestOf(scene, facts), [scene, facts]);
  const answer = layoutOf(request);
  const layout = typeof answer === "string" ? null : answer;
  // The old picture stays until the new one is there.
  if (layout && shown.current?.layout !== layout) shown.current = { scene, layout };
  const { current } = shown;

  const looks = useMemo(() => {
    const made = new Map<Box, Look>();
    if (!current) return made;
    for (const box of current.scene.boxes) {
      if (box.open || !box.node) continue;
      const cell = cellAt(facts, loaded, statistic, box.node, step);
      made.set(box, {
        paint: loaded
          ? paintOf(cell, loaded.domain, statistic.scale, theme.value)
          : { state: "missing", fill: null, ink: null },
        value: cell.value,
        text: loaded ? vitalText(cell, statistic.scale) : "",
        severity: vitals.found(box.node)?.severity ?? null,
      });
    }
    return made;
  }, [current, loaded, facts, statistic, step, theme.value, vitals]);

  const selected = current && chosen ? boxOf(current.scene.boxes, chosen) : null;
  const search = view.search.value.trim().toLowerCase();
  const hits = useMemo(
    () => (current && search ? hitsIn(current.scene.boxes, facts, search) : null),
    [current, search],
  );

  const toggle = ({ key }: Box) => {
    const next = new Set(open);
    if (!next.delete(key)) next.add(key);
    setExpanded(KIND, next);
  };
  const fitAll = () => {
    const size = drawing.current?.getBoundingClientRect();
    if (current && size) camera.value = whole(current.layout, size);
  };
  useKeys("Structure", [{ keys: ["0"], text: "Show all", run: fitAll }]);

  const shut = scene.boxes.filter((box) => !box.open && wanted.has(box.key)).length;
  const svg: ExportFile = {
    label: "Drawing",
    extension: "svg",
    type: "image/svg+xml",
    text: () => {
      if (!drawing.current || !current) return "";
      const { width, height } = current.layout;
      return svgText(drawing.current, { x: -16, y: -16, width: width + 32, height: height + 32 });
    },
  };
  const edges =
    manifest.edges.length > 0 ? "lines are the recorded dataflow" : "this run has no record of the dataflow";
  return (
    <div class="lens graph-lens">
      <div class="toolbar">
        <ModeSwitch />
        <StatisticSelect available={manifest.statistics} chosen={statistic} />
        {loaded && <Legend domain={loaded.domain} kind={statistic.scale} />}
        <span class="spring" />
        <FoldButtons kind={KIND} tree={tree} />
        <button type="button" class="button" title="Show all (0)" onClick={fitAll}>
          Fit
        </button>
        <TableSwitch />
        <ExportMenu what="graph" csv={csv} files={current ? [svg, dot] : [dot]} />
      </div>
      <VerdictLine
        verdict={verdict}
        note={`${statistic.label} at step ${formatCount(step ?? manifest.lastStep)}, a closed group by its worst member; ${edges}; double click or Enter opens a group`}
      />
      {typeof answer === "string" ? (
        <div class="waiting">{answer}</div>
      ) : current ? (
        <GraphView
          shown={current}
          facts={facts}
          looks={looks}
          selected={selected}
          hits={hits}
          hover={hover}
          camera={camera}
          drawing={drawing}
          label={describe(current, manifest.edges.length, statistic.label)}
          notice={shut > 0 && `No room to open ${plural(shut, "group")}: at most ${MOST_BOXES} boxes are drawn`}
          onToggle={toggle}
        />
      ) : (
        <Waiting text="Laying out the graph…" />
      )}
      <GraphReadout
        vitals={vitals}
        scene={current?.scene ?? null}
        selected={selected}
        hover={hover}
        looks={looks}
        statistic={statistic}
      />
    </div>
  );
}

/** The box of a node, or the closed one it is in. */
function boxOf(boxes: readonly Box[], node: TreeNode): Box | null {
  const [row] = node.rows;
  return (
    boxes.find((box) => box.key === node.key) ??
    boxes.find((box) => !box.open && row !== undefined && box.node?.rows.includes(row)) ??
    null
  );
}

function hitsIn(boxes: readonly Box[], facts: Vitals["facts"], search: string): Set<Box> {
  const hit = (box: Box) =>
    box.node?.name.toLowerCase().includes(search) ||
    (!box.open && box.node?.rows.some((i) => facts[i]?.layer.name.toLowerCase().includes(search)));
  return new Set(boxes.filter(hit));
}

/** The picture in one sentence. */
function describe({ scene }: Shown, recorded: number, label: string): string {
  const boxes = scene.boxes.filter((box) => box.node && !box.open);
  const groups = boxes.filter((box) => box.node?.kind === "group").length;
  const joins = scene.boxes.length - scene.boxes.filter((box) => box.node).length;
  return `Graph of the dataflow, coloured by ${label}: ${plural(boxes.length - groups, "layer")}, ${plural(groups, "closed group")}, ${plural(joins, "sum")}, ${plural(scene.flows.length, "line")} for ${plural(recorded, "recorded edge")}; the table lists what feeds each layer`;
}
