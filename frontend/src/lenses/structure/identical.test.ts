import { describe, expect, it } from "vitest";
import { layer } from "../../data/testing";
import { firstExpanded, type TreeNode } from "../../data/tree";
import { folded, manifestOf, weight } from "./testing";

const block = (path: string, more = {}) => [layer(`${path}.fc`), layer(`${path}.act`, { type: "ReLU", ...more })];
const labels = (node: TreeNode) => node.children.map((n) => n.label);

function blocks(count: number, odd = -1, more = {}) {
  return Array.from({ length: count }, (_, i) => block(`h.${i}`, i === odd ? more : {})).flat();
}

describe("foldIdentical", () => {
  it("keeps the first of a kind and makes one group of those after it", () => {
    const { tree } = folded(manifestOf([layer("stem"), ...blocks(5), layer("head")]));
    const [, h] = tree.children;
    expect(labels(h as TreeNode)).toEqual(["0", "1–4"]);
    expect(h?.children[1]).toMatchObject({ name: "h.1–4", detail: "identical to 0", rows: [3, 4, 5, 6, 7, 8, 9, 10] });
    expect(labels(h?.children[1] as TreeNode)).toEqual(["1", "2", "3", "4"]);
  });

  it.each([
    ["type", { type: "GELU" }],
    ["shape", { shape: [4, 9] }],
    ["function", { function: "relu" }],
  ])("tells apart by %s", (_, more) => {
    const { tree } = folded(manifestOf(blocks(9, 4, more)));
    expect(labels(tree.children[0] as TreeNode)).toEqual(["0", "1–3", "4", "5", "6–8"]);
  });

  it("tells apart by what the layers hold", () => {
    const parameters = [0, 1, 2, 3].map((i) => weight(`h.${i}.fc.weight`, i === 0 ? [8, 5] : [8, 4]));
    expect(labels(folded(manifestOf(blocks(4), [], parameters)).tree.children[0] as TreeNode)).toEqual([
      "0",
      "1",
      "2–3",
    ]);
    const frozen = [0, 1, 2, 3].map((i) => weight(`h.${i}.fc.weight`, [8, 4], i < 3));
    expect(labels(folded(manifestOf(blocks(4), [], frozen)).tree.children[0] as TreeNode)).toEqual(["0", "1–2", "3"]);
  });

  it("leaves two of a kind, and layers that are no groups", () => {
    expect(labels(folded(manifestOf(blocks(2))).tree.children[0] as TreeNode)).toEqual(["0", "1"]);
    expect(labels(folded(manifestOf([layer("a"), layer("b"), layer("c"), layer("d")])).tree)).toHaveLength(4);
  });

  it("folds at every depth, and opens none of it by itself", () => {
    const stages = [0, 1, 2].flatMap((s) => [0, 1, 2].flatMap((b) => block(`s.${s}.${b}`)));
    const { tree } = folded(manifestOf([...stages, layer("head")]));
    const [first, others] = (tree.children[0] as TreeNode).children as [TreeNode, TreeNode];
    expect(labels(first)).toEqual(["0", "1–2"]);
    expect(labels(others.children[0] as TreeNode)).toEqual(["0", "1–2"]);
    expect([...firstExpanded(tree, 1000)].filter((key) => key.startsWith("r:"))).toEqual([]);
  });
});
