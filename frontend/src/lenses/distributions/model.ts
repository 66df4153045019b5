/** From histograms to ridges: over steps they share the height, over depth each stands in the row of its layer. */
import { formatCount } from "../../base/format";
import { clamp } from "../../base/scales";
import { type Format, type Loss, lossOf, lostAtMost } from "../../data/formats";
import { EMPTY, type Histogram, type Histograms, histogramOf, membersOf, summaryOf } from "../../data/histograms";
import type { TreeNode, VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import { barPath, chooseRecords, heightScale, isCut, outlinePath, recordAt, ridgesIn } from "./ridges";
import { reachOf, type ValueAxis, valueAxis } from "./value_axis";

export interface Ridge {
  readonly key: string;
  /** Over steps: its record. Over depth: its place among the visible rows. */
  readonly place: number;
  /** Of the baseline, from the top of the ridges. */
  readonly y: number;
  readonly label: string;
  readonly pinned: boolean;
  readonly histogram: Histogram;
  readonly path: string;
  /** The bar at zero: its own scale, since a point has no width. */
  readonly zero: string;
  /** Both of the other run; empty: it has none. */
  readonly other: string;
  readonly loss: Loss | null;
}

export interface Scene {
  readonly axis: ValueAxis;
  readonly ridges: readonly Ridge[];
  /** The ridge at a height. */
  at(y: number): Ridge | undefined;
}

export interface Picture {
  /** Some peaks are higher than they are drawn. */
  readonly cut: boolean;
  /** What is seen at a scroll position. */
  scene(window: RowWindow): Scene;
}

export interface PictureOptions {
  readonly scale: "log" | "linear";
  readonly width: number;
  readonly format: Format | null;
}

/** Ridges reach so many spacings up at most. */
const REACH_STEPS = 3.2;
const REACH_DEPTH = 1.7;
const WIDEST_SPACING = 64;
const FOOT = 6;

/** One row over steps, the newest in front, lowest. */
export function pictureOverSteps(
  data: Histograms,
  other: Histograms | null,
  range: readonly [number, number] | null,
  step: number | null,
  height: number,
  options: PictureOptions,
): Picture {
  const pinned = recordAt(data.steps, step);
  const records = chooseRecords(data, range, pinned, ridgesIn(height));
  const spacing = Math.min(WIDEST_SPACING, (height - FOOT) / (records.length - 1 + REACH_STEPS));
  const most = REACH_STEPS * spacing;
  const histograms = records.map((i) => data.list[i] as Histogram);
  const others = records.map((i) => twinAt(other, data.steps[i] as number));
  const { axis, cut, paint } = painter(histograms, others, 0.9 * spacing, most, spacing - 3, options);
  const ridges = records.map((place, i) => ({
    ...paint(histograms[i] as Histogram, others[i] as Histogram),
    key: String(data.steps[place]),
    place,
    y: most + i * spacing,
    label: formatCount(data.steps[place] as number),
    pinned: place === pinned,
  }));
  const at = (y: number) => ridges[clamp(Math.ceil((y - most) / spacing - 0.25), 0, ridges.length - 1)];
  return { cut, scene: () => ({ axis, ridges, at }) };
}

/** Of the other run, the last record at or before a step. */
function twinAt(other: Histograms | null, step: number): Histogram {
  const at = other ? recordAt(other.steps, step) : -1;
  return (other && (other.steps[at] as number) <= step && other.list[at]) || EMPTY;
}

/** Rows looked at to find a height for all. */
const SAMPLE = 200;

/** All rows at one step. Ridges are made once; the window over them moves. */
export function pictureOverDepth(
  data: Histograms,
  other: Histograms | null,
  rows: readonly VisibleRow[],
  selected: string | null,
  rowHeight: number,
  options: PictureOptions,
): Picture {
  const stride = Math.max(1, Math.floor(data.list.length / SAMPLE));
  const sample = data.list.filter((h, i) => i % stride === 0 && h.total > 0);
  const all = [...data.list, ...(other?.list ?? [])];
  const { axis, cut, paint } = painter(sample, all, 0.75 * rowHeight, REACH_DEPTH * rowHeight, rowHeight - 6, options);
  const known = new Map<TreeNode, ReturnType<typeof paint>>();
  const painted = (node: TreeNode) => {
    const twin = other ? histogramOf(other, node) : EMPTY;
    const found = known.get(node) ?? paint(histogramOf(data, node), twin, membersOf(data, node.rows));
    known.set(node, found);
    return found;
  };
  const scene = ({ first, last, scrollTop }: RowWindow): Scene => {
    // A row below the window may reach into it.
    const ridges = rows.slice(first, last + 2).flatMap(({ node, expanded }, i) => {
      const place = first + i;
      const y = (place + 1) * rowHeight - scrollTop - 4;
      if (expanded) return [];
      return { ...painted(node), key: node.key, place, y, label: "", pinned: node.key === selected };
    });
    return { axis, ridges, at: (y) => ridges.find((r) => r.place === Math.floor((y + scrollTop) / rowHeight)) };
  };
  return { cut, scene };
}

/**
 * What ridges of one picture have in common: the axis, and one scale of heights, by a sample.
 *
 * A peak is usually `usual` pixels high, `most` at most; the bar at zero is `full` if all values are.
 */
function painter(
  sample: readonly Histogram[],
  others: readonly Histogram[],
  usual: number,
  most: number,
  full: number,
  { scale: kind, width, format }: PictureOptions,
) {
  const axis = valueAxis(kind, reachOf([...sample, ...others]), width);
  const outlines = sample.map(axis.outline);
  const scale = heightScale(outlines, usual, most);
  const path = (histogram: Histogram): string => outlinePath(axis.outline(histogram), scale, most);
  const zero = (histogram: Histogram): string =>
    barPath(axis.zero, (full * summaryOf(histogram).zero) / (histogram.total || 1));
  return {
    axis,
    cut: outlines.some((outline) => isCut(outline, scale, most)),
    paint: (histogram: Histogram, other: Histogram, members: readonly Histogram[] = [histogram]) => ({
      histogram,
      path: path(histogram),
      zero: zero(histogram),
      other: path(other) + zero(other),
      loss: format && worstLoss(members, format),
    }),
  };
}

/** A group loses as much as its worst member: a mean would hide it. */
function worstLoss(members: readonly Histogram[], format: Format): Loss | null {
  const losses = members.map((histogram) => lossOf(histogram, format));
  return losses.sort((a, b) => lostAtMost(b) - lostAtMost(a))[0] ?? null;
}
