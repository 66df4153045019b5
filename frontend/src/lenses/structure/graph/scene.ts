/**
 * What the graph shows: the tree down to what is open, the recorded edges between what is visible, and joins.
 *
 * A residual stream makes every layer on it feed all later ones: n² edges, which nobody can read. Sets of producers
 * that later ones build upon are drawn as what they are, a sum that goes on: a join, fed by an earlier join and what
 * was added to it. Nothing is lost by it: what reaches a box through joins is exactly what was recorded for it.
 */
import { groupOf, type TreeNode } from "../../../data/tree";

export interface Box {
  /** The node's key, or `+` and a number for a join. */
  readonly key: string;
  readonly node: TreeNode | null;
  readonly open: boolean;
  readonly parent: Box | null;
  /** In execution order. */
  readonly children: Box[];
}

export interface Flow {
  readonly from: Box;
  readonly to: Box;
  /** Recorded edges it stands for; those of a join count once. */
  readonly count: number;
  /** Against execution order: a module that ran again, drawn once. */
  readonly back: boolean;
}

export interface Scene {
  readonly root: Box;
  /** Without the root, parents before their children. */
  readonly boxes: readonly Box[];
  readonly flows: readonly Flow[];
}

type Edges = readonly (readonly [number, number])[];

/** `rowOf`: the row that the edges mean, of a row of the tree; -1 for one they do not know. */
export function sceneOf(
  tree: TreeNode,
  open: ReadonlySet<string>,
  edges: Edges,
  rowOf: (row: number) => number,
): Scene {
  const boxes: Box[] = [];
  const leaves: Box[] = [];
  const placeOf = new Map<number, number>();
  const add = (node: TreeNode, parent: Box | null): Box => {
    const isOpen = parent === null || (node.kind === "group" && open.has(node.key));
    const box: Box = { key: node.key, node, open: isOpen, parent, children: [] };
    if (parent) {
      parent.children.push(box);
      boxes.push(box);
    }
    if (isOpen) for (const child of node.children) add(child, box);
    else {
      for (const row of node.rows) placeOf.set(rowOf(row), leaves.length);
      leaves.push(box);
    }
    return box;
  };
  const root = add(tree, null);
  const direct = new Map<string, Direct>();
  for (const [producer, consumer] of edges) {
    const [from, to] = [placeOf.get(producer), placeOf.get(consumer)];
    if (from === undefined || to === undefined || from === to) continue;
    const key = `${from}>${to}`;
    direct.set(key, { from, to, count: (direct.get(key)?.count ?? 0) + 1 });
  }
  const flows = withJoins(leaves, direct);
  const ends = new Set(flows.flatMap(({ from, to }) => [from, to]));
  return { root, boxes: [...boxes, ...[...ends].filter((box) => box.node === null)], flows };
}

/** A flow before there are joins, between places among the closed boxes. */
interface Direct {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

interface Sum {
  /** Leaves, rising. */
  readonly members: readonly number[];
  readonly earlier: readonly Sum[];
  readonly added: readonly number[];
  /** The first is the box it was found at. */
  readonly readers: [number, ...(Sum | number)[]];
  box: Box | null;
}

/** A sum of two that only boxes read costs as many lines as it saves. */
const SMALLEST = 3;

function withJoins(leaves: readonly Box[], direct: ReadonlyMap<string, Direct>): Flow[] {
  const inputs = leaves.map(() => new Set<number>());
  for (const { from, to } of direct.values()) if (from < to) inputs[to]?.add(from);
  const flows: Flow[] = [];
  const draw = (from: Box | undefined, to: Box | undefined, count = 1, back = false) => {
    if (from && to) flows.push({ from, to, count, back });
  };
  for (const { from, to, count } of direct.values()) {
    if (from > to || inputs[to]?.size === 1) draw(leaves[from], leaves[to], count, from > to);
  }
  const sums: Sum[] = [];
  inputs.forEach((left, consumer) => {
    if (left.size < 2) return;
    const members = [...left].sort((a, b) => a - b);
    // Of all sums so far those it contains, the largest first, each only for what it still adds.
    const earlier: Sum[] = [];
    for (const sum of [...sums].sort((a, b) => b.members.length - a.members.length)) {
      if (!sum.members.every((i) => left.has(i))) continue;
      earlier.push(sum);
      for (const i of sum.members) left.delete(i);
    }
    const [same] = earlier;
    if (same && earlier.length === 1 && left.size === 0) {
      same.readers.push(consumer);
      return;
    }
    const sum: Sum = { members, earlier, added: [...left], readers: [consumer], box: null };
    for (const part of earlier) part.readers.push(sum);
    sums.push(sum);
  });
  const feed = (sum: Sum, to: Box, reader: number) => {
    for (const part of sum.earlier) {
      if (part.box) draw(part.box, to);
      else feed(part, to, reader);
    }
    for (const i of sum.added) draw(leaves[i], to, direct.get(`${i}>${reader}`)?.count);
  };
  for (const sum of sums) {
    const { members, readers } = sum;
    // One that a single reader takes is drawn as edges into that reader.
    if (readers.length < 2 || (members.length < SMALLEST && readers.every((reader) => typeof reader === "number"))) {
      continue;
    }
    // Where the newest part and the first reader meet: within a block what is added there, between blocks the rest.
    const newest = pathOf(leaves[members.at(-1) as number]);
    const first = pathOf(leaves[readers[0]]);
    const at = newest.findIndex((box) => first.includes(box));
    const [child, parent] = newest.slice(at - 1) as [Box, Box];
    const box: Box = { key: `+${sums.indexOf(sum)}`, node: null, open: false, parent, children: [] };
    parent.children.splice(parent.children.indexOf(child) + 1, 0, box);
    feed(sum, box, -1);
    sum.box = box;
  }
  for (const sum of sums) {
    for (const reader of sum.readers) {
      if (typeof reader !== "number") continue;
      if (sum.box) draw(sum.box, leaves[reader]);
      else feed(sum, leaves[reader] as Box, reader);
    }
  }
  return flows;
}

/** A box and what it is in, from the inside out. */
function pathOf(box: Box | null | undefined): Box[] {
  return box ? [box, ...pathOf(box.parent)] : [];
}

/** All that a box gets: the boxes whose recorded edges reach it, joins looked through. `forward`: that it feeds. */
export function neighbours(scene: Scene, box: Box, forward: boolean): Box[] {
  const found = new Set<Box>();
  const walk = (at: Box) => {
    for (const flow of scene.flows) {
      if ((forward ? flow.from : flow.to) !== at) continue;
      const next = forward ? flow.to : flow.from;
      if (found.has(next)) continue;
      found.add(next);
      if (!next.node) walk(next);
    }
  };
  walk(box);
  return [...found].filter((at) => at.node);
}

/** What is drawn in all: boxes, open or closed. */
export const MOST_BOXES = 400;

/** Those of the open groups that fit, from the top; `first` before all others. */
export function affordable(tree: TreeNode, open: ReadonlySet<string>, first: readonly string[] = []): Set<string> {
  const kept = new Set<string>();
  let count = tree.children.length;
  const offer = (node: TreeNode) => {
    if (kept.has(node.key) || count + node.children.length > MOST_BOXES) return;
    count += node.children.length;
    kept.add(node.key);
  };
  const walk = (wanted: (key: string) => boolean) => {
    let level = tree.children.filter((n) => n.kind === "group");
    while (level.length > 0) {
      for (const node of level) if (open.has(node.key) && wanted(node.key)) offer(node);
      level = level.flatMap((n) => (kept.has(n.key) ? n.children.filter((c) => c.kind === "group") : []));
    }
  };
  walk((key) => first.includes(key));
  walk(() => true);
  return kept;
}

const PAGE = 64;

/** The tree with no more than a page of children anywhere: the rest is in groups that open like any other. */
export function paged(tree: TreeNode): TreeNode {
  let children = tree.children.map((child) => (child.kind === "group" ? paged(child) : child));
  for (let level = 0; children.length > PAGE; level++) {
    const pages: TreeNode[] = [];
    for (let i = 0; i < children.length; i += PAGE) pages.push(page(children.slice(i, i + PAGE), level));
    children = pages;
  }
  return { ...tree, children };
}

function page(children: readonly TreeNode[], level: number): TreeNode {
  const [first, last] = [children[0] as TreeNode, children[children.length - 1] as TreeNode];
  return {
    ...groupOf(`p${level}:${first.key}`, `${first.name} … ${last.name}`, children),
    label: `${first.label} … ${last.label}`,
    folded: true,
  };
}
