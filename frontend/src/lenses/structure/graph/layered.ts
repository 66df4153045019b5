/**
 * A layered drawing of one container's boxes (Sugiyama, Tagawa & Toda, 1981), lines from top to bottom. dagre does this
 * too, for eight times the bytes of this file: it takes any graph, this one takes what is already in order and small.
 *
 * Rows: the longest path from the top, sources then pulled down to what they feed. A line that passes rows has a lane
 * in each. Order in a row: medians of the neighbours, swept down and up, the order with fewest crossings kept. Places
 * in a row: each box wants to be where its neighbours are, long lines most of all; the nearest places that keep order
 * and distance are found exactly (isotonic regression, pooling adjacent violators).
 */
export interface Item {
  readonly width: number;
  readonly height: number;
}

export interface Link {
  /** Indices of items; `from` is the smaller. */
  readonly from: number;
  readonly to: number;
  /** Only keeps the order: no line is drawn, and nothing moves for it. */
  readonly silent?: boolean;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layered {
  /** Centre of each item. */
  readonly at: readonly Point[];
  /** Of each link the corners of its lanes, from top to bottom; both ends are left out. */
  readonly lanes: readonly (readonly Point[])[];
}

const BETWEEN_BOXES = 20;
const BETWEEN_LANES = 12;
const BETWEEN_ROWS = 28;
const SWEEPS = 8;

/** A box, or the lane of a line through a row. */
interface Cell {
  readonly width: number;
  readonly height: number;
  readonly row: number;
  readonly lane: boolean;
  readonly up: Cell[];
  readonly down: Cell[];
  order: number;
  x: number;
}

export function layered(items: readonly Item[], links: readonly Link[]): Layered {
  const rows: Cell[][] = [];
  const put = (row: number, { width, height }: Item, lane: boolean): Cell => {
    while (rows.length <= row) rows.push([]);
    const cells = rows[row] as Cell[];
    const cell: Cell = { width, height, row, lane, up: [], down: [], order: cells.length, x: 0 };
    cells.push(cell);
    return cell;
  };
  const ranks = ranksOf(items.length, links);
  const boxes = items.map((item, i) => put(ranks[i] as number, item, false));
  const chains = links.map(({ from, to, silent }) => {
    if (silent) return [];
    const [start, end] = [boxes[from] as Cell, boxes[to] as Cell];
    const chain: Cell[] = [];
    for (let row = start.row + 1; row < end.row; row++) chain.push(put(row, { width: 0, height: 0 }, true));
    [start, ...chain].forEach((cell, i) => {
      const next = chain[i] ?? end;
      cell.down.push(next);
      next.up.push(cell);
    });
    return chain;
  });
  putInOrder(rows);
  align(rows);
  const heights = rows.map((cells) => cells.reduce((most, cell) => Math.max(most, cell.height), 0));
  const tops: number[] = [];
  heights.reduce((y, height, row) => {
    tops[row] = y;
    return y + height + BETWEEN_ROWS;
  }, 0);
  const top = (cell: Cell): number => tops[cell.row] as number;
  return {
    at: boxes.map((cell) => ({ x: cell.x, y: top(cell) + (heights[cell.row] as number) / 2 })),
    // Straight down beside the boxes of a row, whatever their height.
    lanes: chains.map((chain) =>
      chain.flatMap((cell) => [0, heights[cell.row] as number].map((y) => ({ x: cell.x, y: top(cell) + y }))),
    ),
  };
}

function ranksOf(count: number, links: readonly Link[]): number[] {
  const ranks = new Array<number>(count).fill(0);
  // By consumer: all that comes before it has its rank by then.
  const sorted = [...links].sort((a, b) => a.to - b.to);
  const fed = new Set<number>();
  for (const { from, to } of sorted) {
    fed.add(to);
    ranks[to] = Math.max(ranks[to] as number, (ranks[from] as number) + 1);
  }
  for (let i = 0; i < count; i++) {
    const below = links.filter((link) => link.from === i).map((link) => ranks[link.to] as number);
    if (!fed.has(i) && below.length > 0) ranks[i] = Math.min(...below) - 1;
  }
  return ranks;
}

function putInOrder(rows: readonly Cell[][]): void {
  let best = rows.map((cells) => [...cells]);
  let fewest = crossings(rows);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const cells of downwards ? rows : [...rows].reverse()) {
      const wanted = new Map(cells.map((cell) => [cell, median(downwards ? cell.up : cell.down) ?? cell.order]));
      cells.sort((a, b) => (wanted.get(a) as number) - (wanted.get(b) as number));
      number(cells);
    }
    const found = crossings(rows);
    if (found < fewest) {
      fewest = found;
      best = rows.map((cells) => [...cells]);
    }
  }
  rows.forEach((cells, row) => {
    cells.splice(0, cells.length, ...(best[row] as Cell[]));
    number(cells);
  });
}

function number(cells: readonly Cell[]): void {
  cells.forEach((cell, i) => {
    cell.order = i;
  });
}

function median(neighbours: readonly Cell[]): number | null {
  if (neighbours.length === 0) return null;
  const orders = neighbours.map((cell) => cell.order).sort((a, b) => a - b);
  const middle = (orders.length - 1) / 2;
  return ((orders[Math.floor(middle)] as number) + (orders[Math.ceil(middle)] as number)) / 2;
}

function crossings(rows: readonly Cell[][]): number {
  let count = 0;
  for (const cells of rows) {
    const ends = cells.flatMap((cell) => cell.down.map((next) => next.order).sort((a, b) => a - b));
    for (let i = 1; i < ends.length; i++) {
      for (let k = 0; k < i; k++) if ((ends[k] as number) > (ends[i] as number)) count++;
    }
  }
  return count;
}

function align(rows: readonly Cell[][]): void {
  for (const cells of rows) place(cells, () => [0, 0]);
  for (let sweep = 0; sweep < 2 * SWEEPS; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const cells of downwards ? rows : [...rows].reverse()) {
      // The last sweeps look both ways, so that a box stands between what it joins and what it feeds.
      const both = sweep >= SWEEPS;
      place(cells, (cell) => pull(cell, both ? [...cell.up, ...cell.down] : downwards ? cell.up : cell.down));
    }
  }
}

/** Where a cell wants to be, and how much. Of a lane: straight on. */
function pull(cell: Cell, neighbours: readonly Cell[]): readonly [number, number] {
  let [sum, weight] = [0, 0];
  for (const next of neighbours) {
    const strength = cell.lane && next.lane ? 8 : cell.lane || next.lane ? 2 : 1;
    sum += strength * next.x;
    weight += strength;
  }
  return weight > 0 ? [sum / weight, weight] : [cell.x, 0.1];
}

interface Block {
  sum: number;
  weight: number;
  count: number;
}

/** The places nearest to the wanted ones, by weighted squares, that keep the order and the distances. */
function place(cells: readonly Cell[], wanted: (cell: Cell) => readonly [number, number]): void {
  const offsets: number[] = [];
  const blocks: Block[] = [];
  cells.forEach((cell, i) => {
    const before = cells[i - 1];
    const gap = before && (before.lane && cell.lane ? BETWEEN_LANES : BETWEEN_BOXES);
    offsets[i] = before ? (offsets[i - 1] as number) + (before.width + cell.width) / 2 + (gap as number) : 0;
    const [x, weight] = wanted(cell);
    const sure = Math.max(weight, 1e-3);
    let block: Block = { sum: (x - (offsets[i] as number)) * sure, weight: sure, count: 1 };
    for (let last = blocks.at(-1); last && last.sum / last.weight > block.sum / block.weight; last = blocks.at(-1)) {
      blocks.pop();
      block = { sum: last.sum + block.sum, weight: last.weight + block.weight, count: last.count + block.count };
    }
    blocks.push(block);
  });
  let i = 0;
  for (const { sum, weight, count } of blocks) {
    for (const end = i + count; i < end; i++) (cells[i] as Cell).x = sum / weight + (offsets[i] as number);
  }
}
