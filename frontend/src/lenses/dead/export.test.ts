import { describe, expect, it } from "vitest";
import type { Verdict } from "../../data/ailments";
import type { Manifest } from "../../data/manifest";
import { layer } from "../../data/testing";
import { layerTree, visibleRows } from "../../data/tree";
import { csvOf } from "./export";
import type { Setting } from "./setting";

describe("the table as a file", () => {
  it("has every layer once, however the groups are folded", () => {
    const layers = [layer("a.x"), layer("a.y"), layer("b")];
    const verdict = { kind: "measured", units: 8, count: 2, share: 0.25, since: 10, born: 0, observations: 64 };
    const verdicts = layers.map(() => verdict as Verdict);
    const setting = { ailment: "dead", manifest: { layers } as unknown as Manifest, verdicts, other: null };
    const tree = layerTree(layers);
    for (const open of [[], tree.children.map(({ key }) => key)]) {
      const lines = csvOf(setting as unknown as Setting, visibleRows(tree, new Set(open)))
        .trim()
        .split("\n");
      expect(lines.slice(1).map((line) => line.split(",")[0])).toEqual(["a.x", "a.y", "b"]);
    }
  });
});
