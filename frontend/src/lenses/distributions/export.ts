/** The counts on screen as a file: a line per bin in use. */
import { csvLine } from "../../base/csv";
import { EDGES, HALF, INFINITY_BIN } from "../../data/bins";
import type { Histogram } from "../../data/histograms";

export interface Column {
  readonly row: string;
  readonly step: number;
  readonly histogram: Histogram;
}

export function csvOf(kind: string, columns: readonly Column[]): string {
  const lines = [csvLine(["kind", "row", "step", "bin", "from", "to", "count"])];
  for (const { row, step, histogram } of columns) {
    histogram.bins.forEach((bin, i) => {
      lines.push(csvLine([kind, row, step, bin, ...boundsOf(bin), histogram.counts[i] as number]));
    });
  }
  return `${lines.join("\n")}\n`;
}

/** Lower and upper bound as text that reads back exactly. */
function boundsOf(bin: number): readonly [string, string] {
  const m = bin & (HALF - 1);
  if (m >= INFINITY_BIN) {
    const name = m > INFINITY_BIN ? "nan" : bin < HALF ? "inf" : "-inf";
    return [name, name];
  }
  const [near, far] = [EDGES[m] as number, EDGES[m + 1] as number];
  return bin < HALF ? [String(near), String(far)] : [String(-far), String(-near)];
}
