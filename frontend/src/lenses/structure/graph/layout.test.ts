import { describe, expect, it } from "vitest";
import { layer } from "../../../data/testing";
import { allGroups, layerTree } from "../../../data/tree";
import { factsOf } from "../facts";
import { manifestOf } from "../testing";
import { type Layout, layout, type Place, TITLE } from "./layout";
import { requestOf } from "./request";
import { type Box, type Scene, sceneOf } from "./scene";

function laidOut(names: readonly string[], edges: [number, number][], open?: Set<string>): [Scene, Layout] {
  const manifest = manifestOf(names.map((n) => layer(n)), edges); // biome-ignore format: short
  const tree = layerTree(manifest.layers);
  const scene = sceneOf(tree, open ?? allGroups(tree), edges, (row) => row);
  return [scene, layout(requestOf(scene, factsOf(manifest)))];
}

const NETWORK: [string[], [number, number][]] = [
  ["stem.a", "stem.b", "h.0.x", "h.0.y", "h.0.add", "h.1.x", "h.1.y", "h.1.add", "left", "right", "head"],
  [[0, 1], [1, 2], [2, 3], [3, 4], [1, 4], [4, 5], [5, 6], [6, 7], [4, 7], [7, 8], [7, 9], [8, 10], [9, 10], [0, 10]],
]; // biome-ignore format: pairs

const overlap = (a: Place, b: Place) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

describe("layout", () => {
  const [scene, found] = laidOut(...NETWORK);
  const place = (box: Box) => found.places[box.key] as Place;

  it("places every box, none on its siblings, all within their container and below its title", () => {
    expect(Object.keys(found.places)).toHaveLength(scene.boxes.length);
    for (const box of scene.boxes) {
      for (const other of box.parent?.children ?? []) {
        if (other !== box) expect(overlap(place(box), place(other))).toBe(false);
      }
      if (box.parent === scene.root || !box.parent) continue;
      const [inner, outer] = [place(box), place(box.parent)];
      expect(inner.x).toBeGreaterThanOrEqual(outer.x);
      expect(inner.y).toBeGreaterThanOrEqual(outer.y + TITLE);
      expect(inner.x + inner.width).toBeLessThanOrEqual(outer.x + outer.width);
      expect(inner.y + inner.height).toBeLessThanOrEqual(outer.y + outer.height);
    }
    const corners = scene.boxes.map(place);
    expect(Math.min(...corners.map((p) => p.x))).toBeGreaterThanOrEqual(-0.01);
    expect(Math.max(...corners.map((p) => p.x + p.width))).toBeLessThanOrEqual(found.width + 0.01);
    expect(Math.max(...corners.map((p) => p.y + p.height))).toBeLessThanOrEqual(found.height + 0.01);
  });

  it("lets every line of a network without cycles go down, from its producer to its consumer", () => {
    scene.flows.forEach(({ from, to }, i) => {
      const [a, b] = [place(from), place(to)];
      expect(a.y + a.height).toBeLessThanOrEqual(b.y);
      const route = found.routes[i] ?? [];
      const ys = route.filter((_, k) => k % 2 === 1);
      expect(ys).toEqual([...ys].sort((p, q) => p - q));
      expect(route.slice(0, 2)).toEqual([a.x + a.width / 2, a.y + a.height]);
      expect(route.slice(-2)).toEqual([b.x + b.width / 2, b.y]);
    });
  });

  it("lets no line run behind a box", () => {
    const names = ["enc", "dec.embed", "dec.drop", "dec.cross", "head"];
    const [drawn, { places, routes }] = laidOut(names, [[0, 3], [1, 2], [2, 3], [3, 4]]); // biome-ignore format: pairs
    drawn.flows.forEach((flow, i) => {
      const route = routes[i] ?? [];
      for (const box of drawn.boxes.filter((b) => !b.open && b !== flow.from && b !== flow.to)) {
        const at = places[box.key] as Place;
        for (let k = 0; k < route.length; k += 2) {
          const [x, y] = [route[k] as number, route[k + 1] as number];
          expect(x > at.x && x < at.x + at.width && y > at.y && y < at.y + at.height).toBe(false);
        }
      }
    });
  });

  it("keeps joins: what two producers feed stands below both", () => {
    const by = (name: string) => place(scene.boxes.find((box) => box.node?.name === name) as Box);
    const add = by("h.0.add");
    for (const name of ["h.0.y", "stem.b"]) expect(add.y).toBeGreaterThan(by(name).y);
    expect(scene.flows.filter((f) => f.to.node?.name === "h.0.add")).toHaveLength(2);
    expect(by("left").y).toBe(by("right").y);
  });

  it("draws what goes against the order of execution around the boxes", () => {
    const [cyclic, drawn] = laidOut(["x.a", "y.a", "x.b"], [[0, 1], [1, 2]], new Set()); // biome-ignore format: pairs
    const back = cyclic.flows.findIndex((f) => f.back);
    const right = Math.max(...Object.values(drawn.places).map((p) => p.x + p.width));
    expect(back).toBeGreaterThanOrEqual(0);
    expect(Math.max(...(drawn.routes[back] ?? []).filter((_, k) => k % 2 === 0))).toBeGreaterThan(right);
  });

  it("stacks what nothing is known of in execution order", () => {
    const [, alone] = laidOut(["a", "b", "c"], []);
    const ys = ["l:a", "l:b", "l:c"].map((key) => (alone.places[key] as Place).y);
    expect(ys).toEqual([...ys].sort((p, q) => p - q));
    expect(new Set(ys).size).toBe(3);
  });

  it("places 2,000 layers in closed groups, two of them open", () => {
    const names = Array.from({ length: 2000 }, (_, i) => `h.${i >> 4}.l${i & 15}`);
    const edges = names.slice(1).map((_, i): [number, number] => [i, i + 1]);
    const [many, placed] = laidOut(names, edges, new Set(["g:h.3", "g:h.77"]));
    expect(Object.keys(placed.places)).toHaveLength(many.boxes.length);
    expect(placed.routes.every((route) => route.length >= 4)).toBe(true);
  });
});
