/** Two runs at once: what they are called, and which row is in which. */
import { type JointRows, onlyIn } from "../../data/joint";
import type { TreeNode } from "../../data/tree";

export interface Pair {
  /** Names of the first and the second run. */
  readonly a: string;
  readonly b: string;
  readonly joint: JointRows;
}

/** "A" or "B" for a row, or a group of rows, that only this run has. */
export function loneIn(pair: Pair, kind: "layers" | "parameters", node: TreeNode): "A" | "B" | null {
  const first = onlyIn(pair.joint, kind, node.rows[0] ?? -1);
  if (first === null || node.rows.some((row) => onlyIn(pair.joint, kind, row) !== first)) return null;
  return first === "a" ? "A" : "B";
}
