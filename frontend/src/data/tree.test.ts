import { describe, expect, it } from "vitest";
import { layer } from "./testing";
import {
  allGroups,
  ancestorsOf,
  firstExpanded,
  layerTree,
  nodeAt,
  parameterTree,
  type TreeNode,
  visibleRows,
} from "./tree";

const names = [
  "stem.conv",
  "stem.conv/relu",
  "enc.layers.0.fc",
  "enc.layers.0.act",
  "enc.layers.0",
  "enc.layers.1.fc",
  "act",
  "act@1",
];

function outline(root: TreeNode): string[] {
  return visibleRows(root, allGroups(root)).map((r) => `${"  ".repeat(r.depth)}${r.node.label}`);
}

describe("layerTree", () => {
  const tree = layerTree(names.map((n) => layer(n)));

  it("groups by path, in execution order", () => {
    expect(outline(tree)).toEqual([
      "stem",
      "  conv",
      "  conv/relu",
      "enc.layers",
      "  0",
      "    fc",
      "    act",
      "    output",
      "  1.fc",
      "act",
      "act",
    ]);
  });

  it("knows every row below a group", () => {
    expect(tree.rows).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(tree.children[1]?.rows).toEqual([2, 3, 4, 5]);
  });

  it("tells functions and further calls apart", () => {
    expect(tree.children[0]?.children[1]).toMatchObject({ isFunction: true, name: "stem.conv/relu" });
    expect(tree.children[3]).toMatchObject({ name: "act@1", label: "act", detail: "Linear · call 2" });
  });

  it("takes names of any kind", () => {
    const odd = ["", "a b.<b>x</b>", "слой.0", "x".repeat(300)];
    const labels = outline(layerTree(odd.map((n) => layer(n))));
    expect(labels[0]).toBe("model output");
    expect(labels[1]).toContain("<b>x</b>");
    expect(labels).toHaveLength(4);
  });

  it("keeps only the rows asked for, with their numbers", () => {
    const some = layerTree(
      names.map((n) => layer(n)),
      (row) => row === 3 || row === 7,
    );
    expect(outline(some)).toEqual(["enc.layers.0.act", "act"]);
    expect(some.rows).toEqual([3, 7]);
  });
});

describe("parameterTree", () => {
  it("mirrors the layers' groups", () => {
    const parameter = (name: string, trainable = true) => ({
      name,
      layer: name.slice(0, name.lastIndexOf(".")),
      shape: [3, 4],
      trainable,
    });
    const tree = parameterTree([
      parameter("enc.0.fc.weight"),
      parameter("enc.0.fc.bias", false),
      parameter("head.weight"),
    ]);
    expect(outline(tree)).toEqual(["enc.0", "  fc.weight", "  fc.bias", "head.weight"]);
    expect(tree.children[0]?.children[1]?.detail).toBe("3 × 4 · frozen");
  });
});

describe("visibleRows", () => {
  const tree = layerTree(names.map((n) => layer(n)));

  it("hides what is folded", () => {
    expect(visibleRows(tree, new Set()).map((r) => r.node.label)).toEqual(["stem", "enc.layers", "act", "act"]);
  });

  it("searches full names and opens what holds a match", () => {
    expect(visibleRows(tree, new Set(), "LAYERS.0.").map((r) => r.node.label)).toEqual([
      "enc.layers",
      "0",
      "fc",
      "act",
    ]);
    expect(visibleRows(tree, new Set(), "stem").map((r) => r.node.label)).toEqual(["stem", "conv", "conv/relu"]);
    expect(visibleRows(tree, new Set(), "nothing")).toEqual([]);
  });

  it("counts siblings for screen readers", () => {
    const [first, second] = visibleRows(tree, new Set(["g:stem"]));
    expect(first).toMatchObject({ position: 1, siblings: 4, expanded: true });
    expect(second).toMatchObject({ position: 1, siblings: 2, depth: 1 });
  });
});

describe("firstExpanded", () => {
  it("opens level by level while the rows fit", () => {
    const wide = layerTree(
      Array.from({ length: 20 }, (_, i) => ["a", "b"].map((n) => layer(`block${i}.${n}.x`))).flatMap((pair, i) => [
        ...pair,
        layer(`block${i}.b.y`),
      ]),
    );
    expect(firstExpanded(wide, 100).size).toBe(40);
    expect(firstExpanded(wide, 60).size).toBe(20);
    expect(firstExpanded(wide, 30).size).toBe(0);
  });

  it("opens a level that is too large rather than show three rows", () => {
    const deep = layerTree(Array.from({ length: 300 }, (_, i) => layer(`encoder.layers.${i >> 1}.fc${i & 1}`)));
    expect(firstExpanded(deep, 48)).toEqual(new Set(["g:encoder.layers"]));
  });

  it("tells a container's own row from its group", () => {
    const tree = layerTree(names.map((n) => layer(n)));
    expect(nodeAt(tree, "enc.layers.0")).toMatchObject({ kind: "leaf", row: 4 });
    expect(nodeAt(tree, "enc.layers.0.*")).toMatchObject({ kind: "group" });
    expect(nodeAt(tree, "enc")).toBeNull();
  });

  it("finds the way to a row", () => {
    const tree = layerTree(names.map((n) => layer(n)));
    expect(ancestorsOf(tree, "l:enc.layers.0.act")).toEqual(["g:enc.layers", "g:enc.layers.0"]);
    expect(ancestorsOf(tree, "l:nowhere")).toBeNull();
  });
});
