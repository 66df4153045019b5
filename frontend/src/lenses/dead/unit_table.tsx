/** The life lines as text, unit by unit. */
import { formatCount, formatExact } from "../../base/format";
import type { Lives } from "../../data/lives";
import type { UnitData } from "../../data/units";
import * as view from "../../data/view";
import { type Cell, DataTable, usePages } from "../../views/data_table";

const RECORDS = 40;

export interface UnitTableProps {
  readonly data: UnitData;
  readonly lives: Lives;
  readonly order: Uint32Array;
  readonly byMagnitude: boolean;
}

export function UnitTable({ data, lives, order, byMagnitude }: UnitTableProps) {
  const at = (r: number): number => data.steps[r] ?? 0;
  const { from, to, pager } = usePages("Units", order.length, 200);
  const range = view.range.value;
  const inRange = [...data.steps.keys()].filter((r) => !range || (at(r) >= range[0] && at(r) <= range[1]));
  const across = usePages("Records", inRange.length, RECORDS, inRange.length - 1);
  const records = inRange.slice(across.from, across.to);
  const levels = byMagnitude ? data.magnitudeLevels : data.firingLevels;
  const source = byMagnitude ? data.magnitude : data.firing;
  const now = (u: number): string => {
    if (byMagnitude) return (lives.fell[u] as number) >= 0 ? "dormant" : "active";
    return data.dead[u] === 1 ? "dead" : "alive";
  };
  const choose = (u: number) => (
    <button
      type="button"
      class="link"
      onClick={() => {
        view.unit.value = u;
      }}
    >
      {u}
    </button>
  );
  return (
    <DataTable
      testid="unit-table"
      label="Units by records"
      pagers={
        <>
          {pager}
          {across.pager}
        </>
      }
      note={byMagnitude ? "Magnitude as a multiple of the layer's mean" : "Share of values that were not zero"}
      head={[
        ["Unit"],
        ["Now"],
        ["Last fired"],
        [`${byMagnitude ? "Dormant" : "Silent"} records`],
        [byMagnitude ? "Recoveries" : "Revivals"],
        ...records.map((r): Cell => [formatCount(at(r)), { "data-step": at(r) }]),
      ]}
      lines={Array.from(order.subarray(from, to), (u) => ({
        attributes: { class: u === view.unit.value ? "selected" : "" },
        cells: [
          [choose(u)],
          [now(u)],
          [Number.isNaN(data.lastFired[u] ?? Number.NaN) ? "never" : formatCount(data.lastFired[u] ?? 0)],
          [formatCount(lives.quiet[u] ?? 0)],
          [formatCount(lives.revivals[u] ?? 0)],
          ...records.map(
            (r): Cell => [
              (data.observations[r] ?? 0) > 0 ? formatExact(levels[source[r * data.units + u] ?? 0] ?? 0) : "–",
              { "data-unit": u, "data-step": at(r) },
            ],
          ),
        ],
      }))}
    />
  );
}
