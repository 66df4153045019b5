/** The rows and steps on screen as a file, every sample of them, exact to the float32. */
import { csvLine } from "../../base/csv";
import type { StepAxis } from "../../base/step_axis";
import type { VisibleRow } from "../../data/tree";
import { field, headOf } from "./cells_as_text";
import type { Scalars } from "./scalars_strip";
import { partsOf, readingOf, type Shown } from "./shown";

export function csvOf(shown: Shown, rows: readonly VisibleRow[]): string {
  const [first, last] = shown.main.window();
  const { steps } = shown.main.loaded.series;
  const parts = partsOf(shown);
  const drawn = rows.filter((r) => !r.expanded);
  const head = ({ node }: VisibleRow) => parts.map(({ label }) => headOf(node, label));
  const lines = [csvLine(["step", ...drawn.flatMap(head)])];
  for (let i = first; i < last; i++) {
    const cells = drawn.flatMap((r) => {
      const reading = readingOf(shown, r.node, i);
      return parts.map(({ of }) => field(of(reading)));
    });
    lines.push(csvLine([steps[i] as number, ...cells]));
  }
  return `${lines.join("\n")}\n`;
}

/** The records in view of the two scalars shown: where each stands, what the user counted, and its value. */
export function scalarsCsv({ curves }: Scalars, { from, to }: StepAxis): string {
  const lines = [csvLine(["name", "step", "own step", "value"])];
  for (const series of curves) {
    series?.at.forEach((at, i) => {
      if (at < from || at > to) return; // of one without a place neither holds
      lines.push(csvLine([series.name, at, series.steps[i] as number, series.values[i] as number]));
    });
  }
  return `${lines.join("\n")}\n`;
}
