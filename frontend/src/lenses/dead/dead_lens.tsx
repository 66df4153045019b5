/** Dead units: which layers lose capacity, and do units come back? */
import { useSignal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { formatCount } from "../../base/format";
import { belongs, type DeadRow, deadRow } from "../../data/dead";
import { store } from "../../data/session";
import { addressOf, layerTree, nodeAt, type VisibleRow, visibleRows } from "../../data/tree";
import * as view from "../../data/view";
import { RowFrame } from "../../views/row_frame";
import { expandedIn, toggle, useReveal } from "../../views/rows";
import { StatusLine } from "../../views/status_line";
import { TreeRows } from "../../views/tree_rows";
import { VerdictLine } from "../../views/verdict_line";
import { Waiting } from "../../views/waiting";
import { FoldButtons, TableSwitch } from "../gradient/toolbar";
import { GroupCells, headline, LayerCells } from "./dead_cells";
import { exportDead } from "./export";
import { UnitPanel } from "./unit_panel";

/** Own folds: with the other layers left out, more groups fit. */
const KIND = "dead" as const;

export function DeadLens() {
  const run = store.value;
  const manifest = run?.manifest.value ?? null;
  // Not before the manifest: the version it names is what this must be as new as.
  const data = (manifest && run?.dead().value) ?? null;
  const all = useSignal(false);
  const readout = useSignal("");
  const [gutter, setGutter] = useState(0);

  const verdicts = useMemo<readonly DeadRow[]>(
    () => (manifest && data ? manifest.layers.map((layer, i) => deadRow(data, layer, i)) : []),
    [manifest, data],
  );
  const showAll = all.value;
  const tree = useMemo(() => {
    if (!manifest || !data) return null;
    const some = layerTree(manifest.layers, (i) => {
      const layer = manifest.layers[i];
      return showAll || (layer !== undefined && belongs(layer, verdicts[i]));
    });
    return some.children.length > 0 ? some : layerTree(manifest.layers);
  }, [manifest, data, verdicts, showAll]);
  const chosen = tree && view.layer.value !== null ? nodeAt(tree, view.layer.value) : null;
  const expanded = tree ? expandedIn(KIND, tree) : null;
  const search = view.search.value;
  const rows = useMemo(() => (tree && expanded ? visibleRows(tree, expanded, search) : []), [tree, expanded, search]);

  useReveal(KIND, tree, chosen);
  if (!run || !manifest || !data || !tree) {
    return (
      <div class="lens">
        <div class="toolbar" />
        <VerdictLine verdict={null} note="" />
        <Waiting />
      </div>
    );
  }
  // Without a choice, the worst layer: the question this lens is opened with.
  const worst = worstRow(verdicts);
  const shown =
    chosen?.kind === "leaf"
      ? chosen
      : chosen
        ? null
        : worst >= 0
          ? nodeAt(tree, manifest.layers[worst]?.name ?? "")
          : null;
  const attributes = (row: VisibleRow): Record<string, string | number> => {
    const layer = verdicts[row.node.row];
    if (!layer) return {};
    return {
      "data-testid": "dead-row",
      "data-layer": row.node.name,
      "data-units": layer.units,
      "data-dead": layer.kind === "measured" ? layer.dead : "",
      "data-dormant": layer.dormant,
      "data-status": layer.kind,
    };
  };
  return (
    <div class="lens">
      <div class="toolbar">
        <div class="segmented" role="group" aria-label="Layers to list">
          <button
            type="button"
            aria-pressed={!showAll}
            onClick={() => {
              all.value = false;
            }}
          >
            Activations
          </button>
          <button
            type="button"
            aria-pressed={showAll}
            onClick={() => {
              all.value = true;
            }}
          >
            All layers
          </button>
        </div>
        <FoldButtons kind={KIND} tree={tree} />
        <span class="spring" />
        <TableSwitch />
        <button
          type="button"
          class="button"
          title="The table as a file"
          onClick={() => exportDead(run.name, manifest, verdicts, rows)}
        >
          CSV
        </button>
      </div>
      <VerdictLine
        verdict={headline(data, verdicts, manifest)}
        note={`A unit is dead when its output was exactly zero for every one of at least ${formatCount(data.window)} latest values seen`}
      />
      <div class="dead-grid" style={{ "--gutter": `${gutter}px` }}>
        <div class="dead-table">
          <div class="dead-head" aria-hidden="true">
            <span>Layer</span>
            <span class="num">Units</span>
            <span>Dead now</span>
            <span title="Share of units that did not fire, record by record">Silent over time</span>
            <span class="num" title="Step after which the first of the dead never fired again">
              Since step
            </span>
            <span>How</span>
          </div>
          <RowFrame
            rows={rows.length}
            active={rows.findIndex((r) => r.node === (chosen ?? shown))}
            activeKey={(chosen ?? shown)?.key ?? null}
            onGutter={setGutter}
          >
            {(window) => (
              <TreeRows
                label="Dead units by layer; columns: units, dead now, silent over time, since step, how"
                rows={rows}
                view={window}
                selected={(chosen ?? shown)?.key ?? null}
                onSelect={(node) => {
                  view.layer.value = addressOf(node);
                }}
                onToggle={(node, open) => toggle(KIND, tree, node.key, open)}
                attributes={attributes}
                cells={(row) =>
                  row.node.kind === "leaf" ? (
                    <LayerCells data={data} rows={verdicts} row={row} />
                  ) : (
                    <GroupCells data={data} rows={verdicts} row={row} manifest={manifest} />
                  )
                }
              />
            )}
          </RowFrame>
        </div>
        <UnitPanel
          run={run}
          layer={shown ? (manifest.layers[shown.row] ?? null) : null}
          verdict={shown ? (verdicts[shown.row] ?? null) : null}
          recorded={manifest.units}
          readout={readout}
        />
      </div>
      <StatusLine>
        <span data-testid="cursor-readout">{readout.value}</span>
      </StatusLine>
    </div>
  );
}

function worstRow(rows: readonly DeadRow[]): number {
  let worst = -1;
  rows.forEach((row, i) => {
    if (row.kind === "measured" && row.share > (worst < 0 ? -1 : (rows[worst]?.share ?? 0))) worst = i;
  });
  return worst;
}
