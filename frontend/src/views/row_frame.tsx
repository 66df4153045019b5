/**
 * A scrolling window over rows of one height. Everything inside is drawn for the same scroll position in the same
 * frame (tree, heat map, profile), so that rows never come apart, however many there are.
 */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { useLayoutEffect, useSize } from "../base/hooks";

export interface RowWindow {
  readonly scrollTop: number;
  readonly height: number;
  readonly width: number;
  readonly rowHeight: number;
  /** Rows `first … last - 1` are at least partly visible. */
  readonly first: number;
  readonly last: number;
}

const LOWEST = 20;
const HIGHEST = 36;

/** Few rows get more room each; heights stay on the 4 px grid. */
function rowHeightFor(rows: number, height: number): number {
  const fair = Math.floor(height / Math.max(1, rows) / 4) * 4;
  return Math.max(LOWEST, Math.min(HIGHEST, fair));
}

export interface RowFrameProps {
  readonly rows: number;
  /** Row to bring into view when another one becomes it (its key changes, not its place); -1 for none. */
  readonly active: number;
  readonly activeKey: string | null;
  readonly heightOf?: (rows: number, height: number) => number;
  readonly onView?: ((view: RowWindow) => void) | undefined;
  readonly children: (view: RowWindow) => ComponentChildren;
}

export function RowFrame({ rows, active, activeKey, heightOf = rowHeightFor, onView, children }: RowFrameProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(scroller);
  const [scrolled, setScrolled] = useState(0);
  const rowHeight = heightOf(rows, height);
  const scrollTop = Math.max(0, Math.min(scrolled, rows * rowHeight - height));
  const view: RowWindow = {
    scrollTop,
    width,
    height,
    rowHeight,
    first: Math.max(0, Math.floor(scrollTop / rowHeight)),
    last: Math.min(rows, Math.ceil((scrollTop + height) / rowHeight)),
  };
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || active < 0 || height === 0) return;
    const top = active * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + height) element.scrollTop = top + rowHeight - height;
    setScrolled(element.scrollTop);
  }, [activeKey, active >= 0, height > 0]);
  useLayoutEffect(() => {
    const element = scroller.current;
    // To ask for it makes the browser lay out at once, so not on every scroll: a scroll bar changes the width.
    const gutter = element ? element.offsetWidth - element.clientWidth : 0;
    // For heads and axes that line up with the rows.
    element?.parentElement?.style.setProperty("--gutter", `${gutter}px`);
  }, [width, height]);
  useLayoutEffect(() => onView?.(view));
  return (
    <div
      class="rows-scroll"
      ref={scroller}
      onScroll={(event) => setScrolled(event.currentTarget.scrollTop)}
      tabIndex={-1}
    >
      <div style={{ height: `${Math.max(rows * rowHeight, height)}px` }}>
        <div class="rows-window" style={{ height: `${height}px` }}>
          {height > 0 && children(view)}
        </div>
      </div>
    </div>
  );
}
