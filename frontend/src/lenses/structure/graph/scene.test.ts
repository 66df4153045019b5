import { describe, expect, it } from "vitest";
import { layer } from "../../../data/testing";
import { allGroups, layerTree, type TreeNode } from "../../../data/tree";
import { affordable, type Box, MOST_BOXES, neighbours, paged, type Scene, sceneOf } from "./scene";

type Edges = [number, number][];

const treeOf = (names: readonly string[]) => layerTree(names.map((n) => layer(n)));
const nameOf = (box: Box) => box.node?.name ?? box.key;
const lines = ({ flows }: Scene) => flows.map((f) => `${nameOf(f.from)}>${nameOf(f.to)}`).sort();
const same = (row: number) => row;

/** A residual stream: two branches a block, each reading all that came before. */
function stream(blocks: number): { names: string[]; edges: Edges } {
  const names = ["embed"];
  const edges: Edges = [];
  const onStream = [0];
  for (let b = 0; b < blocks; b++) {
    for (const branch of ["attn", "mlp"]) {
      names.push(`h.${b}.${branch}.norm`, `h.${b}.${branch}.out`);
      const norm = names.length - 2;
      for (const i of onStream) edges.push([i, norm]);
      edges.push([norm, norm + 1]);
      onStream.push(norm + 1);
    }
  }
  names.push("head");
  for (const i of onStream) edges.push([i, names.length - 1]);
  return { names, edges };
}

/** What reaches each leaf through joins, as pairs of rows. */
function reached(scene: Scene): string[] {
  const leaves = scene.boxes.filter((box) => box.node?.kind === "leaf");
  return leaves.flatMap((to) => neighbours(scene, to, false).map((from) => `${from.node?.row}>${to.node?.row}`)).sort();
}

describe("sceneOf", () => {
  it("draws a small residual net edge by edge", () => {
    const edges: Edges = [[0, 1], [1, 2], [2, 3], [0, 3], [3, 4]]; // biome-ignore format: pairs
    const scene = sceneOf(treeOf(["a", "b", "c", "add", "head"]), new Set(), edges, same);
    expect(lines(scene)).toEqual(["a>add", "a>b", "add>head", "b>c", "c>add"]);
  });

  it("adds up what closed groups have between them, and drops what they have within", () => {
    const tree = treeOf(["x.a", "x.b", "y.a", "y.b"]);
    const edges: Edges = [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [3, 0]]; // biome-ignore format: pairs
    const closed = sceneOf(tree, new Set(), edges, same);
    expect(closed.flows.map((f) => [nameOf(f.from), nameOf(f.to), f.count, f.back])).toEqual([
      ["x", "y", 3, false],
      ["y", "x", 1, true],
    ]);
    const half = sceneOf(tree, new Set(["g:x"]), edges, same);
    expect(lines(half)).toEqual(["x.a>x.b", "x.a>y", "x.b>y", "y>x.a"]);
  });

  it.each([1, 2, 5, 12])("draws a residual stream of %i blocks as sums, with nothing lost or added", (blocks) => {
    const { names, edges } = stream(blocks);
    const tree = treeOf(names);
    const scene = sceneOf(tree, allGroups(tree), edges, same);
    expect(reached(scene)).toEqual(edges.map(([a, b]) => `${a}>${b}`).sort());
    // Grows with the blocks, not with their square.
    expect(scene.flows.length).toBeLessThanOrEqual(8 * blocks + 4);
    const joins = scene.boxes.filter((box) => box.node === null);
    if (blocks > 1) expect(joins.length).toBe(2 * blocks - 1);
    // Half of them are within a block, where its first branch is added; the others between the blocks.
    const within = joins.filter((join) => /^h\.\d+$/.test(join.parent?.node?.name ?? ""));
    if (blocks > 1) expect(within.length).toBe(blocks);
  });

  it("knows nothing of edges to rows it does not have", () => {
    const tree = layerTree([layer("a"), layer("b")], (row) => row === 0);
    expect(sceneOf(tree, new Set(), [[0, 1], [7, 0]], same).flows).toEqual([]); // biome-ignore format: pairs
  });
});

describe("what is drawn", () => {
  const wide = paged(treeOf(Array.from({ length: 1000 }, (_, i) => `l${i}`)));
  const widest = (node: TreeNode): number => Math.max(node.children.length, ...node.children.map(widest), 0);

  it("comes in pages", () => {
    expect(widest(wide)).toBeLessThanOrEqual(64);
    expect(wide.rows.length).toBe(1000);
    expect(wide.children.flatMap((p) => p.rows)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(widest(paged(treeOf(Array.from({ length: 6000 }, (_, i) => `l${i}`))))).toBeLessThanOrEqual(64);
  });

  it("is never more than fits, and begins with what is asked for", () => {
    const all = allGroups(wide);
    const last = wide.children[wide.children.length - 1] as TreeNode;
    const fits = affordable(wide, all, [last.key]);
    expect(fits.has(last.key)).toBe(true);
    expect(fits.size).toBeLessThan(all.size);
    expect(sceneOf(wide, fits, [], same).boxes.length).toBeLessThanOrEqual(MOST_BOXES);
    expect(sceneOf(wide, all, [], same).boxes.length).toBe(1016);
    expect(affordable(wide, new Set([last.key]))).toEqual(new Set([last.key]));
  });
});
