/** Cells for tables and files: exact, and never an empty string for a reason the reader cannot tell. */
import { formatExact } from "../../base/format";
import { MOST_RATIO } from "../../data/derived";
import { MISSING, NONFINITE } from "../../data/series";
import type { TreeNode } from "../../data/tree";
import type { Cell } from "./model";

export const NOT_MEASURED = "–";

export function cellText(cell: Cell): string {
  if (cell.state === MISSING) return NOT_MEASURED;
  // A finite moment beside a non-finite share: both are true, so both are said.
  if (cell.state === NONFINITE)
    return !Number.isNaN(cell.value) ? `${exact(cell.value)} (part NaN or Inf)` : "NaN or Inf";
  return exact(cell.value);
}

export function exact(value: number): string {
  return value >= MOST_RATIO ? "Inf" : formatExact(value);
}

/** Whose numbers they are, and which of several. */
export const headOf = ({ kind, name }: TreeNode, part: string): string =>
  [name, kind === "group" && "(worst)", part].filter(Boolean).join(" ");

/** For files. Empty: not measured, as spreadsheets and data frames expect. */
export function field(cell: Cell): string {
  if (cell.state === MISSING) return "";
  return cell.state === NONFINITE && Number.isNaN(cell.value) ? "NaN" : exact(cell.value);
}
