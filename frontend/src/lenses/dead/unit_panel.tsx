/** One layer's units: who is dead, since when, and how each has fared. */
import { useRef } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import { useEffect, useMemo } from "../../base/hooks";
import type { Ailment, Verdict } from "../../data/ailments";
import { livesOf, lostIds, UNIT_ORDERS, type UnitOrder, unitOrder } from "../../data/lives";
import { type Layer, typeOf } from "../../data/manifest";
import { lifeStates, type UnitData } from "../../data/units";
import * as view from "../../data/view";
import { into, Select } from "../../views/controls";
import { useStepKeys } from "../../views/keys";
import { Swatch } from "../../views/legend";
import { LostIds } from "./lost_ids";
import { order as chosenOrder, lines } from "./mode";
import type { Setting } from "./setting";
import { SharePanel } from "./share_panel";
import { UnitLife } from "./unit_life";
import { UnitMap } from "./unit_map";
import { UnitTable } from "./unit_table";

/** `row`: of the layer shown; -1: none. */
export function UnitPanel({ setting, row }: { setting: Setting; row: number }) {
  const { ailment, manifest, verdicts, run } = setting;
  const layer = manifest.layers[row];
  const verdict = verdicts[row];
  const unitwise = verdict !== undefined && verdict.units > 0 && manifest.units && ailment !== "saturated";
  const data = layer && unitwise ? run.unitsOf(layer.name).value : null;
  useUnit(layer?.name);
  return (
    <section class="units" aria-label="Units of the selected layer">
      {!layer || !verdict ? (
        <p class="muted">Choose a layer to see its units one by one</p>
      ) : (
        <>
          <div class="units-head">
            <h2 title={layer.name}>{layer.name || "model output"}</h2>
            <span class="muted">
              {typeOf(layer)} · {plural(verdict.units, "unit")}
            </span>
          </div>
          {unitwise ? (
            data && <Units setting={setting} data={data} layer={layer} verdict={verdict} />
          ) : (
            <SharePanel setting={setting} row={row} />
          )}
        </>
      )}
    </section>
  );
}

/** A unit's number means nothing in another layer: the layer of a chosen unit is chosen too. */
function useUnit(layer: string | undefined): void {
  const before = useRef(layer);
  const unit = view.unit.value;
  useEffect(() => {
    if (before.current !== undefined && layer !== undefined && before.current !== layer) view.unit.value = null;
    before.current = layer ?? before.current;
    if (layer !== undefined && view.unit.value !== null) view.layer.value ??= layer;
  }, [layer, unit]);
}

const ORDERS: Readonly<Record<UnitOrder, readonly [dead: string, dormant: string]>> = {
  died: ["Died first", "Dormant first"],
  index: ["By index", "By index"],
  silent: ["Most silent", "Most dormant"],
  revivals: ["Most revivals", "Most recoveries"],
};

interface UnitsProps {
  readonly setting: Setting;
  readonly data: UnitData;
  readonly layer: Layer;
  readonly verdict: Verdict;
}

function Units({ setting, data, layer, verdict }: UnitsProps) {
  const { ailment } = setting;
  const byMagnitude = ailment === "dormant" || verdict.kind === "other";
  useStepKeys(data.steps, data.records);
  const order = chosenOrder.value as UnitOrder;
  const states = useMemo(() => lifeStates(data, byMagnitude), [data, byMagnitude]);
  const lives = useMemo(() => livesOf(data, states, byMagnitude), [data, states]);
  const ids = useMemo(() => unitOrder(data, lives, order, byMagnitude), [data, lives, order]);
  const lost = useMemo(() => lostIds(data, lives, byMagnitude), [data, lives]);
  const noun = byMagnitude ? "dormant" : "dead";
  return (
    <>
      <p class="units-meaning">{meaning(layer, verdict, data, ailment)}</p>
      <div class="units-bar">
        <Select
          label="Order of units"
          testid="unit-order"
          chosen={order}
          onChoose={into(chosenOrder)}
          groups={[["", UNIT_ORDERS.map((each) => [each, ORDERS[each][byMagnitude ? 1 : 0]])]]}
        />
        {!view.table.value && (
          <button
            type="button"
            class="button"
            aria-pressed={lines.value === "each"}
            title="A line for each unit, to scroll"
            onClick={() => {
              lines.value = lines.value === "each" ? "fit" : "each";
            }}
          >
            Line by line
          </button>
        )}
        <span class="spring" />
        <Swatch mark="alive" text={byMagnitude ? "active" : "fires"} />
        <Swatch mark="rare" text={byMagnitude ? "dormant, ≤ 2.5 %" : "rare, under 1 %"} />
        <Swatch mark="silent" text={byMagnitude ? "exactly zero" : "silent"} />
        {data.observations.includes(0) && <Swatch mark="missing" text="did not run" />}
      </div>
      {view.table.value ? (
        <UnitTable data={data} lives={lives} order={ids} byMagnitude={byMagnitude} />
      ) : (
        <UnitMap
          data={data}
          states={states}
          order={ids}
          byMagnitude={byMagnitude}
          lost={`${formatCount(lost.length)} ${noun} now`}
        />
      )}
      <UnitLife data={data} states={states} byMagnitude={byMagnitude} />
      <LostIds ids={lost} total={data.units} noun={noun} />
    </>
  );
}

/** The definition in words, with the numbers of this layer. */
function meaning(layer: Layer, verdict: Verdict, data: UnitData, ailment: Ailment): string {
  const seen = `${formatCount(verdict.observations)} values seen of each unit in ${plural(data.records, "record")}`;
  if (ailment === "dormant" || verdict.kind === "other") {
    const why = layer.reachesZero ? "" : `${typeOf(layer)} is never exactly zero, so no unit can be called dead. `;
    const last = data.observations.findLast((count) => count > 0) ?? 0;
    return `${why}Dormant: mean magnitude at most 2.5 % of the layer's, over the ${formatCount(last)} values of the last record. ${seen}`;
  }
  if (verdict.kind === "few") return `Too few values for a verdict: ${seen}, ${formatCount(data.window)} are needed`;
  return `Dead here: zero for every one of at least ${formatCount(data.window)} latest values. ${seen}`;
}
