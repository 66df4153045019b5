/** A row over time in little room: its line, dashed that of a second run, and where the cursor is. */
import { type Course, type SparkBox, sparkline } from "../base/sparkline";

export interface TrendProps extends SparkBox {
  /** Colours the line. */
  readonly severity?: string;
  readonly course: Course | null;
  readonly beside?: Course | null | undefined;
  /** Fills what is below the line. */
  readonly filled?: boolean;
  /** Heights of the thin lines behind it, 0 … 1. */
  readonly marks?: readonly number[];
  /** The step to mark. */
  readonly cursor?: number;
}

export function Trend(props: TrendProps) {
  const { width, height, x, severity = "", course, beside, filled, marks = [0], cursor } = props;
  const own = course && sparkline(course, props);
  const at = cursor === undefined ? -1 : x(cursor);
  return (
    <svg class={`trend ${severity}`} width={width} height={height} aria-hidden="true">
      <path
        class="trend-base"
        d={marks.map((mark) => `M0 ${Math.round((1 - mark) * (height - 1)) + 0.5}H${width}`).join("")}
      />
      {filled && own && <path class="trend-area" d={own.area} />}
      {beside && <path class="trend-other" d={sparkline(beside, props).line} />}
      {own && <path class="trend-line" d={own.line} />}
      {at >= 0 && at <= 1 && <path class="trend-cursor" d={`M${(at * width).toFixed(1)} 0V${height}`} />}
    </svg>
  );
}
