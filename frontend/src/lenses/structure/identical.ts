/**
 * Blocks that are alike, told once: of three or more sibling groups in a row with the same layers, shapes and
 * parameters the first stays, and the others become one group, closed until asked for.
 */
import { groupOf, type TreeNode } from "../../data/tree";
import type { RowFacts } from "./facts";

/** Two of a kind are as long as one and a line that says so. */
const FEWEST = 3;

export function foldIdentical(tree: TreeNode, facts: readonly RowFacts[]): TreeNode {
  return fold(tree, new Map(), facts);
}

function fold(node: TreeNode, looks: Map<TreeNode, string>, facts: readonly RowFacts[]): TreeNode {
  if (node.kind === "leaf") return node;
  const children: TreeNode[] = [];
  let at = 0;
  while (at < node.children.length) {
    const first = node.children[at] as TreeNode;
    let end = at + 1;
    if (first.kind === "group") {
      const look = lookOf(first, looks, facts);
      const alike = (n: TreeNode | undefined) => n?.kind === "group" && lookOf(n, looks, facts) === look;
      while (alike(node.children[end])) end++;
    }
    if (end - at < FEWEST) end = at + 1;
    children.push(fold(first, looks, facts));
    if (end > at + 1) {
      const others = node.children.slice(at + 1, end).map((n) => fold(n, looks, facts));
      children.push(run(first, others));
    }
    at = end;
  }
  return { ...node, children };
}

/** The others as one group. */
function run(first: TreeNode, others: readonly TreeNode[]): TreeNode {
  const [head, last] = [others[0] as TreeNode, others[others.length - 1] as TreeNode];
  const end = last.name.slice(last.name.lastIndexOf(".") + 1);
  return {
    ...groupOf(`r:${head.name}`, `${head.name}–${end}`, others),
    label: `${head.label}–${end}`,
    detail: `identical to ${first.label}`,
    folded: true,
  };
}

/** Everything by which two groups could differ but their own names. */
function lookOf(group: TreeNode, looks: Map<TreeNode, string>, facts: readonly RowFacts[]): string {
  let look = looks.get(group);
  if (look === undefined) {
    look = JSON.stringify(
      group.children.map((child) => {
        if (child.kind === "group") return [child.label, lookOf(child, looks, facts)];
        const row = facts[child.row];
        const layer = row?.layer;
        return [child.label, layer?.type, layer?.function, layer?.call, layer?.shape, row?.weights, row?.where];
      }),
    );
    looks.set(group, look);
  }
  return look;
}
