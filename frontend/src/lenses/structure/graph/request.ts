/** From a scene to what the layout must know: how large the boxes are, by the text that goes into them. */
import { plural } from "../../../base/format";
import type { TreeNode } from "../../../data/tree";
import { FONT } from "../../../views/theme";
import type { RowFacts } from "../facts";
import { typeText } from "../words";
import type { LayoutBox, LayoutRequest } from "./layout";
import type { Box, Scene } from "./scene";

export const BOX_HEIGHT = 40;
const JOIN = 14;
const [NARROWEST, WIDEST] = [112, 240];
/** Left and right of the text; the place of a value after the second line. */
export const TEXT_MARGIN = 10;
const VALUE = 62;
const BOLD = `600 12px ${FONT}`;
const SMALL = `11px ${FONT}`;

let context: CanvasRenderingContext2D | null | undefined;
const widths = new Map<string, number>();

function widthOf(text: string, font: string): number {
  const key = font + text;
  let width = widths.get(key);
  if (width === undefined) {
    if (context === undefined) context = document.createElement("canvas").getContext("2d");
    if (context) context.font = font;
    width = context ? context.measureText(text).width : 6.5 * text.length;
    widths.set(key, width);
  }
  return width;
}

export function requestOf(scene: Scene, facts: readonly RowFacts[]): LayoutRequest {
  const sized = (box: Box): LayoutBox => {
    const { key, node } = box;
    if (!node) return { key, width: JOIN, height: JOIN };
    const label = widthOf(node.label, BOLD);
    if (box.open) {
      const least = Math.min(WIDEST, label + 44);
      return { key, width: 0, height: 0, least, children: box.children.map(sized) };
    }
    const text = Math.max(label + (node.kind === "group" ? 18 : 0), widthOf(about(node, facts), SMALL) + VALUE);
    const width = Math.ceil(Math.max(NARROWEST, Math.min(WIDEST, text + 2 * TEXT_MARGIN)) / 4) * 4;
    return { key, width, height: BOX_HEIGHT };
  };
  return { root: sized(scene.root), flows: scene.flows.map(({ from, to }) => [from.key, to.key] as const) };
}

/** The second line of a box. */
export function about(node: TreeNode, facts: readonly RowFacts[]): string {
  const row = facts[node.row];
  return row ? typeText(row) : plural(node.rows.length, "layer");
}

/** A text cut to a width: names by their beginning, since their end tells layers apart. */
export function cut(text: string, room: number, bold: boolean): string {
  const font = bold ? BOLD : SMALL;
  if (widthOf(text, font) <= room) return text;
  let start = 1;
  let end = text.length;
  while (start < end) {
    const middle = (start + end) >> 1;
    const shorter = bold ? `…${text.slice(middle)}` : `${text.slice(0, text.length - middle)}…`;
    if (widthOf(shorter, font) <= room) end = middle;
    else start = middle + 1;
  }
  return bold ? `…${text.slice(start)}` : `${text.slice(0, text.length - start)}…`;
}
