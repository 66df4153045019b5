/**
 * Where boxes and flows go: each open container is laid out by itself, inner ones first, so that no layout ever sees
 * more than one container's children. A flow that crosses borders is routed piece by piece: out of its containers
 * through the middle of their bottoms, across the container that both ends are in, and in through the tops.
 */
import { type Link, layered, type Point } from "./layered";

export interface LayoutBox {
  readonly key: string;
  /** Of an open container these come from what is in it. */
  readonly width: number;
  readonly height: number;
  /** Its title needs at least this. */
  readonly least?: number;
  readonly children?: readonly LayoutBox[];
}

export interface LayoutRequest {
  readonly root: LayoutBox;
  /** Keys of producer and consumer. */
  readonly flows: readonly (readonly [string, string])[];
}

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  /** By key, in the coordinates of the whole. */
  readonly places: Readonly<Record<string, Place>>;
  /** For each flow x and y of its points in turn, from the bottom of the producer to the top of the consumer. */
  readonly routes: readonly (readonly number[])[];
  readonly width: number;
  readonly height: number;
}

export const TITLE = 24;
const PADDING = 20;
const IN = "in";
const OUT = "out";

interface Node {
  readonly box: LayoutBox;
  readonly parent: Node | null;
  readonly order: number;
  readonly depth: number;
  readonly children: Node[];
  /** Edges between children, or a child and a border; the points are the container's own. */
  readonly edges: Map<string, Edge>;
  width: number;
  height: number;
  x: number;
  y: number;
}

interface Edge {
  readonly from: string;
  readonly to: string;
  points: readonly Point[];
}

export function layout(request: LayoutRequest): Layout {
  const nodes = new Map<string, Node>();
  const add = (box: LayoutBox, parent: Node | null): Node => {
    const { width, height } = box;
    const node: Node = {
      box,
      parent,
      order: nodes.size,
      depth: parent ? parent.depth + 1 : 0,
      children: [],
      edges: new Map(),
      width,
      height,
      x: 0,
      y: 0,
    };
    nodes.set(box.key, node);
    parent?.children.push(node);
    for (const child of box.children ?? []) add(child, node);
    return node;
  };
  const root = add(request.root, null);
  const pieces = request.flows.map(([from, to]) => piecesOf(nodes.get(from), nodes.get(to)));
  arrange(root);
  settle(root, 0, 0);
  const places: Record<string, Place> = {};
  for (const [key, { x, y, width, height }] of nodes) if (key !== root.box.key) places[key] = { x, y, width, height };
  const routes = request.flows.map(([from, to], i) => route(nodes.get(from), nodes.get(to), pieces[i] ?? null));
  return { places, routes, width: root.width, height: root.height };
}

type Piece = readonly [container: Node, edge: Edge];

/** Notes in each container what a flow needs there. null: against the order of execution, which moves nothing. */
function piecesOf(from: Node | undefined, to: Node | undefined): Piece[] | null {
  if (!from || !to || from.order > to.order) return null;
  const out: Piece[] = [];
  const into: Piece[] = [];
  let [a, b] = [from, to];
  while (a.parent !== b.parent) {
    if (a.depth >= b.depth && a.parent) {
      out.push(edgeIn(a.parent, a.box.key, OUT));
      a = a.parent;
    } else if (b.parent) {
      into.unshift(edgeIn(b.parent, IN, b.box.key));
      b = b.parent;
    }
  }
  if (a === b || !a.parent) return null;
  return [...out, edgeIn(a.parent, a.box.key, b.box.key), ...into];
}

function edgeIn(container: Node, from: string, to: string): Piece {
  const key = JSON.stringify([from, to]);
  let edge = container.edges.get(key);
  if (!edge) {
    edge = { from, to, points: [] };
    container.edges.set(key, edge);
  }
  return [container, edge];
}

/** Sizes and places of all that is in a node, in its own coordinates. */
function arrange(node: Node): void {
  if (node.children.length === 0) return;
  for (const child of node.children) arrange(child);
  const edges = [...node.edges.values()];
  // Borders are above and below all boxes: a line that comes in goes past them, not behind them.
  const keys = [IN, ...node.children.map((child) => child.box.key), OUT];
  const index = new Map(keys.map((key, i) => [key, i]));
  const links: Link[] = edges.map(({ from, to }) => ({ from: index.get(from) as number, to: index.get(to) as number }));
  const touched = new Set(links.flatMap(({ from, to }) => [from, to]));
  const out = keys.length - 1;
  for (let i = 1; i < out; i++) {
    // What nothing is known of stands where it ran, not all side by side.
    if (!touched.has(i) && i > 1) links.push({ from: i - 1, to: i, silent: true });
    links.push({ from: 0, to: i, silent: true }, { from: i, to: out, silent: true });
  }
  const border = { width: 0, height: 0 };
  const { at, lanes } = layered([border, ...node.children, border], links);
  edges.forEach((edge, i) => {
    edge.points = lanes[i] as readonly Point[];
  });
  const corners = node.children.map((child, i) => {
    const { x, y } = at[i + 1] as Point;
    return { child, x: x - child.width / 2, y: y - child.height / 2 };
  });
  // Lines may run outside of all boxes.
  const xs = lanes.flat().map((point) => point.x);
  const left = Math.min(...corners.map((corner) => corner.x), ...xs);
  const right = Math.max(...corners.map((corner) => corner.x + corner.child.width), ...xs);
  const top = Math.min(...corners.map((corner) => corner.y));
  const low = Math.max(...corners.map((corner) => corner.y + corner.child.height));
  const padding = node.parent ? PADDING : 0;
  node.width = Math.max(right - left + 2 * padding, node.box.least ?? 0);
  node.height = low - top + 2 * padding + (node.parent ? TITLE : 0);
  const [x, y] = [(node.width - right - left) / 2, padding + (node.parent ? TITLE : 0) - top];
  for (const corner of corners) {
    corner.child.x = corner.x + x;
    corner.child.y = corner.y + y;
  }
  for (const edge of node.edges.values()) edge.points = edge.points.map((p) => ({ x: p.x + x, y: p.y + y }));
}

/** From a container's own coordinates to those of the whole. */
function settle(node: Node, x: number, y: number): void {
  node.x += x;
  node.y += y;
  for (const child of node.children) settle(child, node.x, node.y);
}

function route(from: Node | undefined, to: Node | undefined, pieces: readonly Piece[] | null): number[] {
  if (!from || !to) return [];
  if (!pieces) return around(from, to);
  const points: number[] = [...bottom(from)];
  for (const [container, edge] of pieces) {
    const { x, y } = container;
    for (const point of edge.points) points.push(point.x + x, point.y + y);
    if (edge.to === OUT) points.push(...bottom(container));
    else if (edge.to !== to.box.key) points.push(...top(childOf(container, edge.to)));
  }
  points.push(...top(to));
  return points;
}

const bottom = (node: Node): [number, number] => [node.x + node.width / 2, node.y + node.height];
const top = (node: Node): [number, number] => [node.x + node.width / 2, node.y];

function childOf(container: Node, key: string): Node {
  return container.children.find((child) => child.box.key === key) as Node;
}

/** Back up, past the right of both. */
function around(from: Node, to: Node): number[] {
  const right = (node: Node) => node.x + node.width;
  const far = Math.max(right(from), right(to)) + 20;
  const [low, high] = [from.y + from.height / 2, to.y + to.height / 2];
  return [right(from), low, far, low, far, high, right(to), high];
}
