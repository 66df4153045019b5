/**
 * The module tree every lens shares: leaves are rows of the data, groups are the modules that hold them.
 *
 * Order is execution order: a group stands where its first child ran. A group with a single child group is drawn as
 * one row (`encoder.layers`), and one with a single layer is that layer: depth on screen means structure.
 */
import type { Layer, Parameter } from "./manifest";

export interface TreeNode {
  /** Unique among rows and stable between builds. */
  readonly key: string;
  readonly kind: "group" | "leaf";
  /** Full name of the layer or parameter, path of the group. */
  readonly name: string;
  readonly label: string;
  /** The type, the shape: said after the label. */
  readonly detail: string;
  readonly isFunction: boolean;
  /** Row in the data; -1 for a group. */
  readonly row: number;
  /** All rows of the data below (a leaf: its own). */
  readonly rows: readonly number[];
  readonly children: readonly TreeNode[];
  /** Stands for siblings like the one above it, or for some of very many: opened only when asked to. */
  readonly folded?: boolean;
}

/** The node as text in an address; a container may be a row itself and a group, and these two are not the same. */
export function addressOf(node: TreeNode): string {
  return node.kind === "group" ? `${node.name}.*` : node.name;
}

/** The node an address means, if this tree has it. */
export function nodeAt(tree: TreeNode, address: string): TreeNode | null {
  return pathTo(tree, (node) => addressOf(node) === address)?.at(-1) ?? null;
}

/** From below the root to the first node that is meant, in drawing order. */
function pathTo({ children }: TreeNode, meant: (node: TreeNode) => boolean): TreeNode[] | null {
  for (const child of children) {
    const below = meant(child) ? [] : pathTo(child, meant);
    if (below) return [child, ...below];
  }
  return null;
}

export interface VisibleRow {
  readonly node: TreeNode;
  readonly depth: number;
  readonly position: number;
  readonly siblings: number;
  readonly expanded: boolean;
  readonly parent: TreeNode | null;
}

interface Draft {
  path: string;
  row: number;
  leaf: { name: string; label: string; detail: string; isFunction: boolean } | null;
  children: Draft[];
  groups: Map<string, Draft>;
}

/** A name without its call: `act@1` is `act`. */
export const bareName = (name: string): string => name.replace(/@\d+$/, "");

const draft = (path: string): Draft => ({ path, row: -1, leaf: null, children: [], groups: new Map() });

/** `keep`: rows to leave in; a lens may list only some. */
export function layerTree(layers: readonly Layer[], keep: (row: number) => boolean = () => true): TreeNode {
  const root = draft("");
  const paths = new Set(layers.map((l) => l.parent).flatMap(prefixes));
  layers.forEach((layer, row) => {
    if (!keep(row)) return;
    const bare = bareName(layer.name);
    // A container that is measured itself sits inside its own group, last, as what the group gives out.
    const own = layer.kind === "module" && paths.has(bare) && bare !== "";
    const group = groupAt(root, own ? bare : layer.parent);
    const call = layer.call > 0 ? `call ${layer.call + 1}` : "";
    const label = own ? "output" : bare === "" ? "model output" : relative(bare, layer.parent);
    const detail = [layer.kind === "function" ? "" : layer.type, call].filter(Boolean).join(" · ");
    const leaf = { name: layer.name, label, detail, isFunction: layer.kind === "function" };
    group.children.push({ ...draft(layer.name), row, leaf });
  });
  return finish(root, "");
}

export function parameterTree(parameters: readonly Parameter[]): TreeNode {
  const root = draft("");
  parameters.forEach((parameter, row) => {
    const parent = parameter.layer.split(".").slice(0, -1).join(".");
    const label = relative(parameter.name, parent);
    const detail = parameter.shape.join(" × ") + (parameter.trainable ? "" : " · frozen");
    groupAt(root, parent).children.push({
      ...draft(parameter.name),
      row,
      leaf: { name: parameter.name, label, detail, isFunction: false },
    });
  });
  return finish(root, "");
}

function prefixes(path: string): string[] {
  const parts = path === "" ? [] : path.split(".");
  return parts.map((_, i) => parts.slice(0, i + 1).join("."));
}

function groupAt(root: Draft, path: string): Draft {
  let at = root;
  for (const prefix of prefixes(path)) {
    let next = at.groups.get(prefix);
    if (!next) {
      next = draft(prefix);
      at.groups.set(prefix, next);
      at.children.push(next);
    }
    at = next;
  }
  return at;
}

function relative(name: string, parent: string): string {
  return parent !== "" && name.startsWith(`${parent}.`) ? name.slice(parent.length + 1) : name;
}

function finish(node: Draft, above: string): TreeNode {
  if (node.leaf) {
    const { row, leaf } = node;
    return { key: `l:${leaf.name}`, kind: "leaf", row, rows: [row], children: [], ...leaf };
  }
  let at = node;
  while (at.path !== "" && at.children.length === 1 && at.children[0]) {
    const [only] = at.children;
    if (!only.leaf) at = only;
    else {
      // A group of one is that one, called by its longer name.
      return { ...finish(only, above), label: relative(bareName(only.leaf.name), above) };
    }
  }
  const children = at.children.map((child) => finish(child, at.path));
  return { ...groupOf(`g:${at.path}`, at.path, children), label: relative(at.path, above) };
}

export function groupOf(key: string, name: string, children: readonly TreeNode[]): TreeNode {
  const rows = children.flatMap((child) => child.rows);
  return { key, kind: "group", name, label: name, detail: "", isFunction: false, row: -1, rows, children };
}

/** The same leaves in a few groups of equal size, whatever belongs together. */
export function inLines(tree: TreeNode, most: number): TreeNode {
  const leaves = leavesOf(tree);
  const count = Math.min(leaves.length, most);
  const from = (line: number) => Math.floor((line * leaves.length) / count);
  const line = (_: unknown, i: number) => groupOf(`line ${i}`, "", leaves.slice(from(i), from(i + 1)));
  return { ...tree, children: Array.from({ length: count }, line) };
}

/** Leaves in drawing order. */
export function leavesOf(node: TreeNode): TreeNode[] {
  return node.kind === "leaf" ? [node] : node.children.flatMap(leavesOf);
}

/** The rows on screen. With a search, only matches and the groups above them, all open. */
export function visibleRows(root: TreeNode, expanded: ReadonlySet<string>, search = ""): VisibleRow[] {
  const out: VisibleRow[] = [];
  const needle = search.trim().toLowerCase();
  const hit = (node: TreeNode): boolean => node.name.toLowerCase().includes(needle);
  const shown = (node: TreeNode): boolean => needle === "" || hit(node) || node.children.some(shown);
  const walk = (parent: TreeNode, depth: number, within: boolean) => {
    const children = within ? parent.children : parent.children.filter(shown);
    children.forEach((node, i) => {
      const inside = within || hit(node);
      const open = node.kind === "group" && (needle === "" ? expanded.has(node.key) : true);
      out.push({
        node,
        depth,
        position: i + 1,
        siblings: children.length,
        expanded: open,
        parent: parent === root ? null : parent,
      });
      if (open) walk(node, depth + 1, inside);
    });
  };
  walk(root, 0, needle === "");
  return out;
}

const FEW_ROWS = 16;

/** Groups to open at first: level by level, as long as the rows stay within `most`. */
export function firstExpanded(root: TreeNode, most: number, few = FEW_ROWS): Set<string> {
  const open = new Set<string>();
  const opens = (n: TreeNode) => n.kind === "group" && !n.folded;
  let level = root.children.filter(opens);
  let rows = root.children.length;
  while (level.length > 0) {
    const added = level.reduce((sum, group) => sum + group.children.length, 0);
    // A picture of three rows says nothing: a level too large to fit is still opened, and scrolls.
    if (rows + added > most && rows >= few) break;
    rows += added;
    for (const group of level) open.add(group.key);
    level = level.flatMap((g) => g.children.filter(opens));
  }
  return open;
}

export function allGroups(root: TreeNode): Set<string> {
  const groups = root.children.filter((child) => child.kind === "group");
  return new Set(groups.flatMap((group) => [group.key, ...allGroups(group)]));
}

/** Keys of the groups that hold the node of this key; null if it is not in the tree. */
export function ancestorsOf(root: TreeNode, key: string): string[] | null {
  const path = pathTo(root, (node) => node.key === key);
  return path?.slice(0, -1).map((node) => node.key) ?? null;
}
