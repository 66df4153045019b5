/** Whose histograms are on screen: the chosen row, the one that most calls for a look, the same of the other run. */
import { useMemo } from "../../base/hooks";
import { lossOf, lostAtLeast } from "../../data/formats";
import { EMPTY, type Histograms } from "../../data/histograms";
import type { Manifest } from "../../data/manifest";
import { other } from "../../data/session";
import { leavesOf, type TreeNode, type VisibleRow } from "../../data/tree";
import { formatFor, ownFormat, rowsOf } from "./choices";
import type { Column } from "./export";
import { isBroken } from "./ridges";

export function namesOf(manifest: Manifest, kind: string): readonly string[] {
  return (rowsOf(kind) === "layers" ? manifest.layers : manifest.parameters).map((row) => row.name);
}

/** Within a group or all of the tree: not finite first, then what loses most, then the first with data. */
export function worstOf(
  tree: TreeNode,
  record: Histograms,
  manifest: Manifest,
  kind: string,
  within: TreeNode | null,
): TreeNode | null {
  const { rows } = within ?? tree;
  let [worst, most] = [rows[0], -1];
  for (const row of rows) {
    const histogram = record.list[row] ?? EMPTY;
    if (histogram.total === 0) continue;
    const format = formatFor(ownFormat(manifest, kind, row));
    const score = isBroken(histogram) ? 2 : format ? lostAtLeast(lossOf(histogram, format)) : 0;
    if (score > most) [worst, most] = [row, score];
  }
  return leavesOf(tree).find((leaf) => leaf.row === worst) ?? null;
}

export interface Versus {
  /** Of the second run; null: there is none. */
  readonly name: string | null;
  /** The same row over steps, or of all rows at or before the same step those with the names of ours. */
  readonly data: Histograms | null;
}

export function useVersus(
  kind: string,
  row: string | null,
  step: number | undefined,
  names: readonly string[],
  overSteps: boolean,
): Versus {
  const second = other.value;
  const manifest = second?.manifest.value;
  const theirs = useMemo(
    () => new Map((manifest?.histograms.includes(kind) ? namesOf(manifest, kind) : []).map((name, i) => [name, i])),
    [manifest, kind],
  );
  const cache = theirs.size > 0 ? second?.histograms : undefined;
  const found =
    (overSteps
      ? row !== null && theirs.has(row) && cache?.ofRow(kind, row).value
      : step !== undefined && cache?.atStep(kind, step).value) || null;
  const data = useMemo(() => {
    if (overSteps || !found) return found;
    const list = names.map((name) => found.list[theirs.get(name) ?? -1] ?? EMPTY);
    return step !== undefined && (found.steps[0] as number) <= step ? { ...found, list } : null;
  }, [overSteps, found, names, theirs, step]);
  return { name: second?.name ?? null, data };
}

export function columnsOverSteps(history: Histograms, range: readonly [number, number] | null): Column[] {
  const columns = history.list.map((histogram, i) => ({
    row: history.row ?? "",
    step: history.steps[i] as number,
    histogram,
  }));
  return range ? columns.filter(({ step }) => step >= range[0] && step <= range[1]) : columns;
}

/** Rows that are in the list, also those in a closed group. */
export function columnsOverDepth(record: Histograms, rows: readonly VisibleRow[], names: readonly string[]): Column[] {
  const [step = 0] = record.steps;
  return rows
    .flatMap((row) => (row.expanded ? [] : row.node.rows))
    .map((row) => ({ row: names[row] ?? "", step, histogram: record.list[row] }))
    .filter((column): column is Column => column.histogram !== undefined);
}
