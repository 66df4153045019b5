/** Structure: what is this model, and which part is that row? */
import { useRef } from "preact/hooks";
import { formatCount } from "../../base/format";
import { useEffect, useMemo } from "../../base/hooks";
import { other, store } from "../../data/session";
import { leavesOf, nodeAt, type TreeNode } from "../../data/tree";
import * as view from "../../data/view";
import { FoldButtons, TableSwitch } from "../../views/controls";
import { ExportMenu } from "../../views/export_menu";
import { stepKeys, useKeys } from "../../views/keys";
import { useRows } from "../../views/rows";
import { CursorLine } from "../../views/status_line";
import { VerdictLine } from "../../views/verdict_line";
import { WaitingLens } from "../../views/waiting";
import { useFollowKey } from "../follow";
import { dotOf } from "./dot";
import { ExactTable } from "./exact_table";
import { factsOf, type RowFacts, treeOf } from "./facts";
import { GraphPane } from "./graph/graph_pane";
import { graph, ModeSwitch, otherMode } from "./mode_switch";
import { type Column, direction, flat, type Rank, sort, sorted } from "./order";
import { csvOf } from "./records";
import { StructureTable } from "./table";
import { loadVitals, Vitals, weight } from "./vitals";
import { summary, typeText } from "./words";

const KIND = "structure";
/** The diagnosis may take the server seconds: it comes after what one sees. */
const DIAGNOSIS_MS = 1500;

export function StructureLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  const compared = other.value?.manifest.value ?? null;
  const loaded = run && manifest ? loadVitals(run, manifest) : null;
  const dead = (manifest && run?.dead().value) ?? null;
  const diagnosis = run?.diagnosis.value.value ?? null;
  const step = view.step.value;

  useEffect(() => {
    if (!run || !manifest) return;
    const timer = setTimeout(() => run.diagnosis.want(manifest.version), DIAGNOSIS_MS);
    return () => clearTimeout(timer);
  }, [run, manifest]);

  const facts = useMemo(() => (manifest ? factsOf(manifest, compared) : []), [manifest, compared]);
  const tree = useMemo(() => treeOf(facts), [facts]);
  const { gradient = null, activation = null, update = null } = loaded ?? {};
  const vitals = useMemo(
    () => manifest && new Vitals(facts, manifest, { gradient, activation, update }, dead, diagnosis, step),
    [facts, manifest, gradient, activation, update, dead, diagnosis, step],
  );
  const leaves = useMemo(() => leavesOf(tree), [tree]);
  const selected = view.layer.value === null ? null : nodeAt(tree, view.layer.value);
  const inOrder = useRows(KIND, tree, selected);
  const search = view.search.value;
  const [column, reversed] = [sort.value, direction.value === "reversed"];
  const ordered = useMemo(
    () => (vitals && column !== "order" ? sorted(leaves, column, reversed, (n) => ranksOf(vitals, n)[column]) : leaves),
    [vitals, leaves, column, reversed],
  );
  const listed = useMemo(() => flat(tree, ordered, search), [tree, ordered, search]);
  const rows = column === "order" ? inOrder : listed;
  const series = gradient?.series ?? activation?.series;

  const pictured = graph.value === "graph" && !view.table.value;
  const shown = useRef(false);
  // Each has a bar of its own: the focus must not go with the button that was pressed.
  useEffect(() => {
    if (shown.current && document.activeElement === document.body) {
      document.querySelector<HTMLElement>(".toolbar [aria-pressed=true]")?.focus();
    }
    shown.current = true;
  }, [pictured, column === "order"]);

  useFollowKey();
  useKeys("Structure", [
    { keys: ["g"], text: "Tree or graph", run: otherMode },
    stepKeys(series?.steps, series?.count),
  ]);

  if (!run || !manifest || !vitals) {
    return <WaitingLens />;
  }
  const verdict = { severity: "info" as const, text: summary(vitals, tree, compared?.run ?? null) };
  const dot = { label: "Dataflow", extension: "dot", type: "text/vnd.graphviz", text: () => dotOf(manifest) };
  const found = listed.map(({ node }) => node);
  const csv = () => csvOf(vitals, found);
  if (pictured) {
    return <GraphPane vitals={vitals} run={run} verdict={verdict} csv={csv} dot={dot} />;
  }
  return (
    <div class="lens">
      <div class="toolbar">
        <ModeSwitch />
        {column === "order" ? (
          <FoldButtons kind={KIND} tree={tree} />
        ) : (
          <button
            type="button"
            class="button"
            onClick={() => {
              sort.value = "order";
            }}
          >
            Execution order
          </button>
        )}
        <span class="spring" />
        <TableSwitch />
        <ExportMenu what="structure" csv={csv} files={[dot]} />
      </div>
      <VerdictLine
        verdict={verdict}
        note="In execution order; identical blocks are folded, a closed group shows its worst member; a column's head sorts"
      />
      {view.table.value ? (
        <ExactTable vitals={vitals} leaves={found} />
      ) : (
        <StructureTable
          vitals={vitals}
          kind={KIND}
          tree={tree}
          rows={rows}
          selected={selected}
          compared={compared !== null}
        />
      )}
      <CursorLine data={{ "data-step": step ?? manifest.lastStep }} loud>
        {selected && <strong>{selected.name || "model output"}</strong>}
        <span class={selected ? "sep" : ""}>Step {formatCount(step ?? manifest.lastStep)}</span>
      </CursorLine>
    </div>
  );
}

function ranksOf(vitals: Vitals, node: TreeNode): Readonly<Record<Column, Rank>> {
  const row = vitals.facts[node.row] as RowFacts;
  const found = vitals.found(node);
  return {
    name: node.name,
    found: found ? weight(found.severity) : Number.NaN,
    type: typeText(row),
    output: row.layer.shape.reduce((a, b) => a * b, 1),
    parameters: row.parameters,
    calls: row.calls,
    gradient: vitals.cell(node, "gradient").value,
    activation: vitals.cell(node, "activation").value,
    update: vitals.cell(node, "update").value,
    dead: vitals.deadShare(node),
    broken: vitals.brokenSince(node),
    source: row.layer.source ?? "",
  };
}
