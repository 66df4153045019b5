/** The rows on screen, shared by all lenses: which tree, what is open, what is selected. */
import { computed, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "../base/hooks";
import { store } from "../data/session";
import { statisticOf } from "../data/statistics";
import {
  allGroups,
  ancestorsOf,
  firstExpanded,
  layerTree,
  parameterTree,
  type TreeNode,
  type VisibleRow,
  visibleRows,
} from "../data/tree";
import * as view from "../data/view";

const ROWS_AT_FIRST = 48;
/** A box takes more room than a row does. */
const BOXES_AT_FIRST = 12;

export type RowKind = "layers" | "parameters";

const manifest = computed(() => store.value?.manifest.value ?? null);

/** The statistic in force: the one asked for if the run has it, else the one that says most. */
export const statistic = computed(() => {
  const names = manifest.value?.statistics;
  const wanted = view.stat.value;
  if (wanted && (!names || names.includes(wanted))) return statisticOf(wanted);
  const telling = ["gradient/rms", "activation/rms"].find((name) => !names?.length || names.includes(name));
  return statisticOf(telling ?? (names?.[0] as string));
});

export const trees: Readonly<Record<RowKind, Signal<TreeNode | null>>> = {
  layers: computed(() => (manifest.value ? layerTree(manifest.value.layers) : null)),
  parameters: computed(() => (manifest.value ? parameterTree(manifest.value.parameters) : null)),
};

/** What the user opened and closed, by run and kind; until then, what fits. */
const opened: Signal<ReadonlyMap<string, ReadonlySet<string>>> = signal(new Map());

const slot = (kind: string): string => `${kind} ${store.value?.name ?? ""}`;

export function expandedIn(kind: string, tree: TreeNode): ReadonlySet<string> {
  return opened.value.get(slot(kind)) ?? atFirst(kind, tree);
}

/** The same set for the same tree: a new one would have every picture made anew. */
function atFirst(kind: string, tree: TreeNode): ReadonlySet<string> {
  const graph = kind.endsWith("graph");
  const known = graph ? boxesAtFirst : rowsAtFirst;
  const keys = known.get(tree) ?? (graph ? firstExpanded(tree, BOXES_AT_FIRST, 4) : firstExpanded(tree, ROWS_AT_FIRST));
  known.set(tree, keys);
  return keys;
}

const boxesAtFirst = new WeakMap<TreeNode, ReadonlySet<string>>();
const rowsAtFirst = new WeakMap<TreeNode, ReadonlySet<string>>();

export function setExpanded(kind: string, keys: ReadonlySet<string>): void {
  opened.value = new Map(opened.peek()).set(slot(kind), keys);
}

export function toggle(kind: string, tree: TreeNode, key: string, open: boolean): void {
  const keys = new Set(expandedIn(kind, tree));
  if (open) keys.add(key);
  else keys.delete(key);
  setExpanded(kind, keys);
}

export function expandAll(kind: string, tree: TreeNode): void {
  setExpanded(kind, allGroups(tree));
}

/** The rows of a tree as it is folded and searched; those above the chosen one are opened when it is chosen. */
export function useRows(kind: string, tree: TreeNode | null, chosen: TreeNode | null): readonly VisibleRow[] {
  const expanded = tree && expandedIn(kind, tree);
  const search = view.search.value;
  useReveal(kind, tree, chosen);
  return useMemo(() => (tree && expanded ? visibleRows(tree, expanded, search) : []), [tree, expanded, search]);
}

/** Opens the groups above a row when it is chosen, so that a link to it shows it; folding them later is allowed. */
export function useReveal(kind: string, tree: TreeNode | null, chosen: TreeNode | null): void {
  const key = chosen?.key ?? null;
  useEffect(() => {
    if (!tree || key === null) return;
    const above = ancestorsOf(tree, key) ?? [];
    const now = expandedIn(kind, tree);
    if (!above.every((k) => now.has(k))) setExpanded(kind, new Set([...now, ...above]));
  }, [kind, tree !== null, key]);
}
