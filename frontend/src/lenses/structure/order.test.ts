import { describe, expect, it } from "vitest";
import { layer } from "../../data/testing";
import { layerTree, leavesOf, type TreeNode } from "../../data/tree";
import { direction, flat, sort, sortBy, sorted } from "./order";

const tree = layerTree(["b.10", "b.9", "a", "c"].map((name) => layer(name)));
const leaves = leavesOf(tree);
const names = (nodes: readonly TreeNode[]) => nodes.map((n) => n.name);

describe("sorted", () => {
  it("goes by numbers from the largest, by text from A, digits as numbers", () => {
    const size = new Map([
      ["b.10", 3],
      ["b.9", 7],
      ["a", 3],
      ["c", 1],
    ]);
    const rank = (n: TreeNode) => size.get(n.name) ?? 0;
    expect(names(sorted(leaves, "parameters", false, rank))).toEqual(["b.9", "b.10", "a", "c"]);
    expect(names(sorted(leaves, "parameters", true, rank))).toEqual(["c", "b.10", "a", "b.9"]);
    expect(names(sorted(leaves, "name", false, (n) => n.name))).toEqual(["a", "b.9", "b.10", "c"]);
  });

  it("puts what has no value last in both directions", () => {
    const rank = (n: TreeNode) => (n.name === "b.9" ? Number.NaN : n.name.length);
    expect(names(sorted(leaves, "dead", false, rank)).pop()).toBe("b.9");
    expect(names(sorted(leaves, "dead", true, rank)).pop()).toBe("b.9");
  });

  it("lists leaves by their full names, searched", () => {
    expect(flat(tree, leaves, "B.").map((row) => [row.node.label, row.depth, row.siblings])).toEqual([
      ["b.10", 0, 2],
      ["b.9", 0, 2],
    ]);
  });

  it("goes back to execution order with the third click", () => {
    sortBy("dead");
    expect([sort.value, direction.value]).toEqual(["dead", "usual"]);
    sortBy("dead");
    expect([sort.value, direction.value]).toEqual(["dead", "reversed"]);
    sortBy("dead");
    expect([sort.value, direction.value]).toEqual(["order", "usual"]);
  });
});
