/** Dead units: which layers lose capacity, and do units come back? */
import { useSignal } from "@preact/signals";
import { useMemo } from "../../base/hooks";
import { AILMENTS, type Ailment, belongs, tallyOf } from "../../data/ailments";
import { other as otherRun, store } from "../../data/session";
import { layerTree, nodeAt, type VisibleRow } from "../../data/tree";
import * as view from "../../data/view";
import { AxisSwitch, FoldButtons, into, Switch, TableSwitch } from "../../views/controls";
import { ExportMenu } from "../../views/export_menu";
import { useRows } from "../../views/rows";
import { CursorLine } from "../../views/status_line";
import { TreeFrame } from "../../views/tree_rows";
import { VerdictLine } from "../../views/verdict_line";
import { WaitingLens } from "../../views/waiting";
import { useFollowKey } from "../follow";
import { useLatest, useSticky } from "../keep";
import { DeadCells } from "./dead_cells";
import { csvOf, shareText } from "./export";
import { ailmentOf, chosenAilment } from "./mode";
import { readout } from "./readout";
import { counterpart, type Setting, useSetting } from "./setting";
import { UnitPanel } from "./unit_panel";
import { comparison, headline, SINCE, TITLES } from "./words";

/** Own folds: with the other layers left out, more groups fit. */
const KIND = "dead" as const;

export function DeadLens() {
  const run = store.value;
  const asked = ailmentOf(run?.manifest.value ?? null);
  // Until the answer to another question is here, the one before: with it the way back would be gone.
  const setting = useLatest(useSetting(run, otherRun.value, asked));
  return setting ? <DeadUnits setting={setting} asked={asked} /> : <WaitingLens />;
}

function DeadUnits({ setting, asked }: { setting: Setting; asked: Ailment }) {
  const { ailment, manifest, verdicts, other } = setting;
  const { layers } = manifest;
  const extent = useSignal<"some" | "all">("some");
  const showAll = extent.value === "all";
  const tree = useMemo(() => {
    const some = layerTree(layers, (i) => {
      const layer = layers[i];
      return showAll || (layer !== undefined && belongs(ailment, layer, verdicts[i]));
    });
    return some.children.length > 0 ? some : layerTree(layers);
  }, [setting, showAll]);
  const chosen = view.layer.value !== null ? nodeAt(tree, view.layer.value) : null;
  const rows = useRows(KIND, tree, chosen);
  const listed = layers.flatMap((layer, i) => (belongs(ailment, layer, verdicts[i]) ? [i] : []));
  const tally = tallyOf(ailment, verdicts, listed);
  // Without a choice that is listed, the worst layer: the question this lens is opened with.
  const first = useSticky(ailment, () => {
    const worst =
      tally.worst >= 0 ? tally.worst : verdicts.findIndex(({ kind }) => kind === "measured" || kind === "few");
    return layers[worst]?.name ?? null;
  });
  useFollowKey();
  const shown = chosen ?? (first === null ? null : nodeAt(tree, first));
  const layer = shown?.kind === "leaf" ? shown.row : -1;
  const heads: readonly (readonly [text: string, style?: string, title?: string])[] = [
    ["Units", "num dead-units"],
    [`${TITLES[ailment]} now`],
    ...(other
      ? ([
          [other.run.name, "num"],
          ["Difference", "num", "This run less the other one"],
        ] as const)
      : []),
    [ailment === "dead" ? "Silent over time" : "Over time", "dead-trend"],
    ["Since step", "num dead-since", SINCE[ailment]],
    ...(other ? [] : ([[ailment === "dead" ? "How" : "At most", "dead-how"]] as const)),
  ];
  const attributes = (row: VisibleRow): Record<string, string | number> => {
    const verdict = verdicts[row.node.row];
    if (!verdict) return {};
    return {
      "data-testid": "dead-row",
      "data-layer": row.node.name,
      "data-units": verdict.units,
      "data-dead": ailment !== "dead" || verdict.kind === "measured" ? verdict.dead : "",
      "data-status": verdict.kind,
      "data-share": shareText(verdict),
      "data-since": Number.isNaN(verdict.since) ? "" : verdict.since,
      ...(other ? { "data-other-share": shareText(counterpart(setting, row.node.name)) } : {}),
    };
  };
  return (
    <div class="lens contained dead-lens">
      <div class="toolbar">
        <Switch
          label="What to look for"
          testid="units"
          chosen={asked}
          onChoose={into<typeof chosenAilment.value>(chosenAilment)}
          options={AILMENTS.map((kind) => [kind, TITLES[kind]])}
        />
        <Switch
          label="Layers to list"
          chosen={extent.value}
          onChoose={into(extent)}
          options={[
            ["some", "Activations"],
            ["all", "All layers"],
          ]}
        />
        <FoldButtons kind={KIND} tree={tree} />
        <span class="spring" />
        <AxisSwitch />
        <TableSwitch />
        <ExportMenu what={`${ailment}-units`} csv={() => csvOf(setting, rows)} />
      </div>
      <VerdictLine verdict={headline(setting, tally)} note={comparison(setting)} />
      <div class={`dead-grid${other ? " compared" : ""}`}>
        <div class="dead-table">
          <div class="dead-head" aria-hidden="true">
            <span>Layer</span>
            {heads.map(([text, style, title]) => (
              <span class={style} title={title}>
                {text}
              </span>
            ))}
          </div>
          <TreeFrame
            label={`${TITLES[ailment]} units by layer; columns: ${heads.map(([text]) => text).join(", ")}`}
            kind={KIND}
            ahead
            tree={tree}
            rows={rows}
            selected={shown}
            attributes={attributes}
            cells={(row) => <DeadCells setting={setting} row={row} />}
          />
        </div>
        <UnitPanel setting={setting} row={layer} />
      </div>
      <CursorLine>{readout}</CursorLine>
    </div>
  );
}
