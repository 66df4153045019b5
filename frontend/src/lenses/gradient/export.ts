/** The rows and steps on screen as a file, every sample of them, exact to the float32. */
import { csvLine, download, fileName } from "../../base/csv";
import { formatExact } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import type { VisibleRow } from "../../data/tree";
import type { Cell, HeatModel } from "./model";

export function exportCsv(run: string, model: HeatModel, rows: readonly VisibleRow[]): void {
  download(fileName("torchvitals", run, model.statistic.name), csvOf(model, rows));
}

export function csvOf(model: HeatModel, rows: readonly VisibleRow[]): string {
  const [first, last] = model.window();
  const shown = rows.filter((r) => !r.expanded);
  const lines = [
    csvLine(["step", ...shown.map((r) => (r.node.kind === "group" ? `${r.node.name} (worst)` : r.node.name))]),
  ];
  for (let i = first; i < last; i++) {
    const step = model.loaded.series.steps[i] as number;
    lines.push(csvLine([step, ...shown.map((r) => field(model.cell(r.node, i)))]));
  }
  return `${lines.join("\n")}\n`;
}

/** Empty: not measured, as spreadsheets and data frames expect. */
function field(cell: Cell): string {
  if (cell.state === MISSING) return "";
  return cell.state === NONFINITE && Number.isNaN(cell.value) ? "NaN" : formatExact(cell.value);
}
