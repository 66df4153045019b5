/** The records of the scalars in view as a table: where each stands, what the user counted, and its value. */
import { formatExact } from "../../base/format";
import type { StepAxis } from "../../base/step_axis";
import type { ScalarSeries } from "../../data/scalars";
import { DataTable, usePages } from "../../views/data_table";
import type { Scalars } from "./scalars_strip";

export function ScalarTable({ scalars, axis }: { scalars: Scalars; axis: StepAxis }) {
  return (
    <div class="scalar-tables">
      {scalars.curves.map((series, i) => series && <Records key={i} series={series} axis={axis} />)}
    </div>
  );
}

function Records({ series, axis }: { series: ScalarSeries; axis: StepAxis }) {
  const { name, at, steps, values } = series;
  const inView = [...at.keys()].filter((i) => {
    const place = at[i] as number;
    return Number.isNaN(place) || (place >= axis.from && place <= axis.to);
  });
  const { from, to, pager } = usePages("Records", inView.length, 200);
  return (
    <DataTable
      testid="scalar-table"
      label={name}
      attributes={{ "data-name": name }}
      pagers={pager}
      head={[["Step"], ["Own step"], [name, { title: name }]]}
      lines={inView.slice(from, to).map((i) => ({
        attributes: { "data-at": at[i], "data-step": steps[i], "data-value": values[i] },
        cells: [
          [Number.isNaN(at[i]) ? "–" : Number((at[i] as number).toFixed(1))],
          [steps[i]],
          [formatExact(Math.fround(values[i] as number))],
        ],
      }))}
    />
  );
}
