/** One layer's units: who is dead, since when, and how each has fared. */
import type { Signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import type { DeadRow } from "../../data/dead";
import type { Layer } from "../../data/manifest";
import type { RunStore } from "../../data/run_store";
import { deadIds, lifeStates, type UnitData, type UnitOrder, unitOrder } from "../../data/units";
import * as view from "../../data/view";
import { DeadUnitIds } from "./dead_unit_ids";
import { UnitMap } from "./unit_map";
import { UnitTable } from "./unit_table";

export interface UnitPanelProps {
  readonly run: RunStore;
  readonly layer: Layer | null;
  readonly verdict: DeadRow | null;
  readonly recorded: boolean;
  readonly readout: Signal<string>;
}

export function UnitPanel({ run, layer, verdict, recorded, readout }: UnitPanelProps) {
  const data = layer && verdict && verdict.units > 0 && recorded ? run.unitsOf(layer.name).value : null;
  return (
    <section class="units" aria-label="Units of the selected layer">
      {!layer || !verdict ? (
        <p class="units-none muted">Choose a layer to see its units one by one</p>
      ) : verdict.units === 0 || !recorded ? (
        <>
          <PanelHead layer={layer} verdict={verdict} />
          <p class="units-none muted">
            {recorded ? "This layer has no units to follow" : "This run was recorded without units"}
          </p>
        </>
      ) : (
        <>
          <PanelHead layer={layer} verdict={verdict} />
          {data && <Units data={data} layer={layer} verdict={verdict} readout={readout} />}
        </>
      )}
    </section>
  );
}

function PanelHead({ layer, verdict }: { layer: Layer; verdict: DeadRow }) {
  return (
    <div class="units-head">
      <h2 title={layer.name}>{layer.name || "model output"}</h2>
      <span class="muted">
        {layer.kind === "function" ? `function ${layer.type}` : layer.type} · {plural(verdict.units, "unit")}
      </span>
    </div>
  );
}

interface UnitsProps {
  readonly data: UnitData;
  readonly layer: Layer;
  readonly verdict: DeadRow;
  readonly readout: Signal<string>;
}

function Units({ data, layer, verdict, readout }: UnitsProps) {
  const [order, setOrder] = useState<UnitOrder>("died");
  const byMagnitude = verdict.kind === "smooth";
  const states = useMemo(() => lifeStates(data, byMagnitude), [data, byMagnitude]);
  const ids = useMemo(() => unitOrder(data, order, byMagnitude), [data, order, byMagnitude]);
  const dead = useMemo(() => deadIds(data), [data]);
  return (
    <>
      <p class="units-meaning">{meaning(layer, verdict, data)}</p>
      <div class="units-bar">
        <div class="segmented" role="group" aria-label="Order of units">
          <button type="button" aria-pressed={order === "died"} onClick={() => setOrder("died")}>
            {byMagnitude ? "Quietest first" : "Died first"}
          </button>
          <button type="button" aria-pressed={order === "index"} onClick={() => setOrder("index")}>
            By index
          </button>
        </div>
        <span class="spring" />
        <Key state="alive" text={byMagnitude ? "active" : "fires"} />
        <Key state="rare" text={byMagnitude ? "dormant, ≤ 2.5 % of the layer" : "rare, under 1 %"} />
        <Key state="silent" text={byMagnitude ? "exactly zero" : "silent"} />
      </div>
      {view.table.value ? (
        <UnitTable data={data} order={ids} byMagnitude={byMagnitude} />
      ) : (
        <UnitMap
          data={data}
          states={states}
          order={ids}
          byMagnitude={byMagnitude}
          readout={readout}
          dead={dead.length}
        />
      )}
      <DeadUnitIds layer={layer.name} ids={dead} total={data.units} />
    </>
  );
}

function Key({ state, text }: { state: string; text: string }) {
  return (
    <span class="swatch">
      <span class={`swatch-box ${state}`} />
      {text}
    </span>
  );
}

/** The definition in words, with the numbers of this layer. */
function meaning(layer: Layer, verdict: DeadRow, data: UnitData): string {
  const seen = `${formatCount(verdict.observations)} values seen of each unit in ${plural(data.records, "record")}`;
  if (verdict.kind === "smooth") {
    const name = layer.kind === "module" ? layer.type : (layer.function ?? layer.type);
    return `${name} is never exactly zero over a range of inputs, so no unit can be called dead. Dormant: mean magnitude at most 2.5 % of the layer's, in the last record. ${seen}`;
  }
  if (verdict.kind === "few") {
    return `Too few values for a verdict: ${seen}, ${formatCount(data.window)} are needed`;
  }
  return `Dead here: zero for every one of at least ${formatCount(data.window)} latest values. ${seen}`;
}
