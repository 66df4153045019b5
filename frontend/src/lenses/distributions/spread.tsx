/** A row at a glance: where most of its magnitudes lie, on one axis for all rows. */
import { clamp } from "../../base/scales";
import { type Histograms, histogramOf, summaryOf } from "../../data/histograms";
import type { VisibleRow } from "../../data/tree";
import { SeverityIcon } from "../../views/icons";
import { brokenAt } from "./ridges";
import { readoutOf } from "./words";

/** Base-2 logarithms that the bars run between. */
export type Span = readonly [number, number];

export function spanOf(data: Histograms): Span {
  const measured = data.list.map(summaryOf).filter(({ p1 }) => p1 > 0);
  const low = Math.log2(Math.min(...measured.map(({ p1 }) => p1)));
  const high = Math.log2(Math.max(...measured.map(({ p99 }) => p99)));
  return low < high ? [low, high] : [0, 1];
}

export function Spread({ data, row, span }: { data: Histograms; row: VisibleRow; span: Span }) {
  if (row.expanded) return <div role="gridcell" />;
  const histogram = histogramOf(data, row.node);
  const { p1, p50, p99 } = summaryOf(histogram);
  const broken = row.node.rows.some((r) => brokenAt(data, r));
  const at = (value: number): number => clamp((Math.log2(value) - span[0]) / (span[1] - span[0])) * 100;
  const words = readoutOf(histogram, null, null).join(", ");
  return (
    <div role="gridcell" class="tree-value spread" title={words} aria-label={words}>
      {broken && <SeverityIcon severity="critical" />}
      {p50 > 0 ? (
        <span class="spread-track">
          <span class="spread-bar" style={{ left: `${at(p1)}%`, right: `${100 - at(p99)}%` }} />
          <span class="spread-median" style={{ left: `${at(p50)}%` }} />
        </span>
      ) : (
        <span class="muted">{words}</span>
      )}
    </div>
  );
}
