/** Cells for tables and files: exact, and never an empty string for a reason the reader cannot tell. */
import { formatExact } from "../../base/format";
import { MISSING, NONFINITE } from "../../data/series";
import type { Cell } from "./model";

export const NOT_MEASURED = "–";

export function cellText(cell: Cell): string {
  if (cell.state === MISSING) return NOT_MEASURED;
  // A finite moment beside a non-finite share: both are true, so both are said.
  if (cell.state === NONFINITE)
    return !Number.isNaN(cell.value) ? `${formatExact(cell.value)} (part NaN or Inf)` : "NaN or Inf";
  return formatExact(cell.value);
}
