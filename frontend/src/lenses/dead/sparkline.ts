/** A share over time as an SVG path: each pixel shows the largest share that fell on it. */
import type { DeadData } from "../../data/dead";

export interface Spark {
  readonly line: string;
  readonly area: string;
}

const STEP = 2;

export function sparkline(data: DeadData, rows: readonly number[], width: number, height: number): Spark {
  const records = data.steps.length;
  const slots = Math.max(2, Math.floor(width / STEP));
  const peaks = new Float32Array(slots).fill(Number.NaN);
  for (let r = 0; r < records; r++) {
    const slot = records === 1 ? slots - 1 : Math.round((r / (records - 1)) * (slots - 1));
    for (const row of rows) {
      const share = data.silent[r * data.rows + row] as number;
      if (!Number.isNaN(share) && !((peaks[slot] as number) >= share)) peaks[slot] = share;
    }
  }
  let line = "";
  let area = "";
  let start = -1;
  let last = 0;
  for (let s = 0; s < slots; s++) {
    const share = peaks[s] as number;
    if (Number.isNaN(share)) continue;
    const x = s * (width / (slots - 1));
    const y = (height - 1 - share * (height - 2)).toFixed(1);
    line += `${start < 0 ? "M" : "L"}${x.toFixed(1)} ${y}`;
    if (start < 0) start = x;
    last = x;
  }
  if (start >= 0) area = `${line}L${last.toFixed(1)} ${height}L${start.toFixed(1)} ${height}Z`;
  return { line, area };
}
