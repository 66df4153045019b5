/** Where the arrow keys go: along the lines, and among what stands beside. */
import type { Layout } from "./layout";
import { type Box, neighbours, type Scene } from "./scene";

export const ARROWS: Readonly<Record<string, readonly [right: number, down: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The box to go to; the same where there is none. */
export function walk(scene: Scene, layout: Layout, from: Box | null, right: number, down: number): Box | undefined {
  const boxes = scene.boxes.filter((box) => box.node !== null);
  if (!from) return boxes[0];
  const index = boxes.indexOf(from);
  const linked = new Set(neighbours(scene, from, down > 0));
  if (down > 0) {
    if (from.open) return from.children.find((box) => box.node !== null) ?? from;
    return boxes.find((box, i) => i > index && linked.has(box)) ?? from;
  }
  if (down < 0) {
    return boxes.findLast((box, i) => i < index && linked.has(box)) ?? outer(from) ?? boxes[index - 1] ?? from;
  }
  return beside(from, layout, right) ?? boxes[index + right] ?? from;
}

/** The container around, if it is drawn. */
export function outer(box: Box): Box | null {
  return box.parent?.parent ? box.parent : null;
}

/** The nearest in the same container that stands at the same height. */
function beside(from: Box, layout: Layout, right: number): Box | null {
  const here = layout.places[from.key];
  let [best, distance] = [null as Box | null, Number.POSITIVE_INFINITY];
  for (const box of from.parent?.children ?? []) {
    const place = layout.places[box.key];
    if (!here || !place || !box.node) continue;
    if (place.y > here.y + here.height || here.y > place.y + place.height) continue;
    const by = (place.x - here.x) * right;
    if (by > 0 && by < distance) [best, distance] = [box, by];
  }
  return best;
}
