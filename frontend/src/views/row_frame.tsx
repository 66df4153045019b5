/**
 * A scrolling window over rows of one height. Everything inside is drawn for the same scroll position in the same
 * frame (tree, heat map, profile), so that rows never come apart, however many there are.
 */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { useLayoutEffect, useSize } from "../base/hooks";

/** The part of the rows that is drawn. */
export interface RowWindow {
  /** Of its upper edge, from that of the first row. */
  readonly scrollTop: number;
  readonly height: number;
  /** Height of what is seen of it at a time. */
  readonly page: number;
  readonly rowHeight: number;
  /** Rows `first … last - 1` are at least partly in it. */
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
  /**
   * Draws rows above and below too, and lets the browser scroll them by itself until it comes near their end: so
   * scrolling waits for nothing. Not where something outside of the frame is to move with them.
   */
  readonly ahead?: boolean | undefined;
  /** Told what is seen, for what is drawn outside of it. */
  readonly at?: Signal<RowWindow | null> | undefined;
  readonly children: (view: RowWindow) => ComponentChildren;
}

/** Of what is seen, drawn on either side of it. */
const AHEAD = 0.5;

export function RowFrame({ rows, active, activeKey, heightOf = rowHeightFor, ahead, at, children }: RowFrameProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(scroller);
  /** Where the window was made. */
  const [scrolled, setScrolled] = useState(0);
  const seen = useRef(0);
  const rowHeight = heightOf(rows, height);
  const end = Math.max(rows * rowHeight, height);
  const windowAt = (scrollTop: number, beyond: number): RowWindow => {
    const middle = Math.max(0, Math.min(scrollTop, end - height));
    const top = Math.max(0, middle - beyond);
    const bottom = Math.min(end, middle + height + beyond);
    return {
      scrollTop: top,
      height: bottom - top,
      page: height,
      rowHeight,
      first: Math.floor(top / rowHeight),
      last: Math.min(rows, Math.ceil(bottom / rowHeight)),
    };
  };
  const beyond = ahead ? Math.round(AHEAD * height) : 0;
  const view = windowAt(scrolled, beyond);
  const tell = () => {
    if (at) at.value = windowAt(seen.current, 0);
  };
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || active < 0 || height === 0) return;
    const top = active * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + height) element.scrollTop = top + rowHeight - height;
    seen.current = element.scrollTop;
    setScrolled(seen.current);
  }, [activeKey, active >= 0, height > 0]);
  useLayoutEffect(() => {
    const element = scroller.current;
    // To ask for it makes the browser lay out at once, so not on every scroll: a scroll bar changes the width.
    const gutter = element ? element.offsetWidth - element.clientWidth : 0;
    // For heads and axes that line up with the rows.
    element?.parentElement?.style.setProperty("--gutter", `${gutter}px`);
  }, [width, height]);
  useLayoutEffect(tell, [scrolled, height, rowHeight, rows]);
  return (
    <div
      class="rows-scroll"
      ref={scroller}
      onScroll={(event) => {
        seen.current = event.currentTarget.scrollTop;
        if (Math.abs(seen.current - scrolled) * 2 > beyond) setScrolled(seen.current);
        else tell();
      }}
      tabIndex={-1}
    >
      <div class="rows-all" style={{ height: `${end}px` }}>
        <div
          class={`rows-window${ahead ? " ahead" : ""}`}
          style={{ height: `${view.height}px`, ...(ahead && { top: `${view.scrollTop}px` }) }}
        >
          {height > 0 && children(view)}
        </div>
      </div>
    </div>
  );
}
