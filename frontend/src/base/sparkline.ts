/** One row over time as small SVG paths: points that share a slot of two pixels become one, from the lowest to the highest. */

export interface Course {
  readonly steps: Float64Array;
  readonly count: number;
  /** The row's value on a step of this index; NaN: none. */
  at(index: number): number;
}

export interface SparkBox {
  readonly width: number;
  readonly height: number;
  /** Place of a step, 0 … 1 from left to right, and of a value, 0 … 1 upwards; NaN: it has none. */
  readonly x: (step: number) => number;
  readonly y: (value: number) => number;
}

export interface Spark {
  readonly line: string;
  readonly area: string;
}

const SLOT = 2;

export function sparkline(course: Course, { width, height, x, y }: SparkBox): Spark {
  const slots = Math.max(2, Math.floor(width / SLOT));
  const high = new Float32Array(slots).fill(Number.NaN);
  const low = new Float32Array(slots).fill(Number.NaN);
  for (let i = 0; i < course.count; i++) {
    const unit = y(course.at(i));
    const at = x(course.steps[i] as number);
    if (Number.isNaN(unit) || !(at >= 0 && at <= 1)) continue;
    const slot = Math.round(at * (slots - 1));
    if (!((high[slot] as number) >= unit)) high[slot] = unit;
    if (!((low[slot] as number) <= unit)) low[slot] = unit;
  }
  const place = (unit: number) => (height - 1 - unit * (height - 2)).toFixed(1);
  let line = "";
  let [first, last] = [-1, 0];
  for (let s = 0; s < slots; s++) {
    const [top, bottom] = [high[s] as number, low[s] as number];
    if (Number.isNaN(top)) continue;
    last = s * (width / (slots - 1));
    line += `${first < 0 ? "M" : "L"}${last.toFixed(1)} ${place(top)}`;
    if (bottom < top) line += `V${place(bottom)}`;
    if (first < 0) first = last;
  }
  // A single value is a dash one can see.
  if (first >= 0 && first === last) line += `h${first > width / 2 ? -SLOT : SLOT}`;
  return {
    line,
    area: first >= 0 && last > first ? `${line}L${last.toFixed(1)} ${height}L${first.toFixed(1)} ${height}Z` : "",
  };
}
