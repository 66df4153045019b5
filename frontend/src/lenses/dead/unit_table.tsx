/** The life lines as text, unit by unit. */
import { useState } from "preact/hooks";
import { formatCount, formatExact } from "../../base/format";
import type { UnitData } from "../../data/units";

const ROWS = 200;
const RECORDS = 40;

export function UnitTable({ data, order, byMagnitude }: { data: UnitData; order: Uint32Array; byMagnitude: boolean }) {
  const [page, setPage] = useState(0);
  const pages = Math.max(1, Math.ceil(order.length / ROWS));
  const at = Math.min(page, pages - 1);
  const units = Array.from(order.subarray(at * ROWS, (at + 1) * ROWS));
  const first = Math.max(0, data.records - RECORDS);
  const records = Array.from({ length: data.records - first }, (_, i) => first + i);
  const levels = byMagnitude ? data.magnitudeLevels : data.firingLevels;
  const source = byMagnitude ? data.magnitude : data.firing;
  return (
    <div class="table-view">
      <div class="table-pages">
        <span class="pager">
          Units {formatCount(at * ROWS + 1)}–{formatCount(at * ROWS + units.length)} of {formatCount(data.units)}
          {pages > 1 && (
            <span class="segmented">
              <button type="button" disabled={at === 0} aria-label="Previous units" onClick={() => setPage(at - 1)}>
                ‹
              </button>
              <button type="button" disabled={at === pages - 1} aria-label="Next units" onClick={() => setPage(at + 1)}>
                ›
              </button>
            </span>
          )}
        </span>
        <span class="muted">
          {byMagnitude ? "Magnitude as a multiple of the layer's mean" : "Share of values that were not zero"}, last{" "}
          {records.length} records
        </span>
      </div>
      <div class="table-scroll">
        <table data-testid="unit-table">
          <thead>
            <tr>
              <th scope="col">Unit</th>
              <th scope="col">Now</th>
              <th scope="col">Last active</th>
              {records.map((r) => (
                <th key={r} scope="col" data-step={data.steps[r]}>
                  {formatCount(data.steps[r] ?? 0)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {units.map((u) => (
              <tr key={u}>
                <th scope="row">{u}</th>
                <td>{data.dead[u] === 1 ? "dead" : "alive"}</td>
                <td>{Number.isNaN(data.lastFired[u] ?? Number.NaN) ? "never" : formatCount(data.lastFired[u] ?? 0)}</td>
                {records.map((r) => (
                  <td key={r} data-unit={u} data-step={data.steps[r]}>
                    {(data.observations[r] ?? 0) > 0 ? formatExact(levels[source[r * data.units + u] ?? 0] ?? 0) : "–"}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
