/** The ridges with their axis, the format's limits and the numbers beside them: one drawing, which exports as it is. */
import type { ComponentChildren } from "preact";
import { formatCount, formatShare, formatValue } from "../../base/format";
import { type Format, type Loss, lostAtLeast, lostAtMost } from "../../data/formats";
import { type Histogram, summaryOf } from "../../data/histograms";
import { Hatch } from "../../views/icons";
import type { Scene } from "./model";
import { isBroken, lostZones } from "./ridges";
import type { ValueAxis } from "./value_axis";
import { lossText } from "./words";

/** Height of the axis above the ridges. */
export const HEAD = 40;
export const LOSS_WIDTH = 112;
export const BROKEN_WIDTH = 72;
const BAR = 32;

export interface RidgeDrawingProps {
  readonly width: number;
  /** Of all, with the axis. */
  readonly height: number;
  /** Where the value axis begins. */
  readonly left: number;
  readonly scene: Scene;
  readonly format: Format | null;
  /** There is a column for what is not finite. */
  readonly broken: boolean;
  /** The cursor, in the coordinates of the ridges. */
  readonly children?: ComponentChildren;
}

export function RidgeDrawing({ width, height, left, scene, format, broken, children }: RidgeDrawingProps) {
  const { axis, ridges } = scene;
  const lossAt = width - LOSS_WIDTH - left;
  const brokenAt = (format ? lossAt : width - left) - BROKEN_WIDTH;
  const zones = format ? lostZones(axis, format.vanish, format.overflow) : [];
  const limits = format ? limitsOf(axis, format) : [];
  const line = (at: number) => `M${at} ${HEAD}V${height}`;
  const head = (x: number, text: string, anchor: "start" | "middle" | "end" = "start") => (
    <text key={x} x={x} y={HEAD - 6} text-anchor={anchor}>
      {text}
    </text>
  );
  return (
    <svg class="ridges" width={width} height={height} data-testid="ridges" aria-hidden="true">
      <defs>
        <clipPath id="ridge-lost">
          {zones.map(([from, to]) => (
            <rect key={from} x={from} y={-height} width={to - from} height={2 * height} />
          ))}
        </clipPath>
        <Hatch />
      </defs>
      <g transform={`translate(${left} 0)`}>
        {zones.map(([from, to]) => (
          <rect key={from} class="ridge-zone" x={from} y={HEAD} width={to - from} height={Math.max(0, height - HEAD)} />
        ))}
        {axis.ticks.map(({ at }) => (
          <path key={at} class="ridge-base" d={line(at)} />
        ))}
        {limits.map(({ at, strong, text, far }) => (
          <g key={at}>
            <path class={strong ? "ridge-limit" : "ridge-axis"} d={line(at)} />
            <text class="ridge-limit-label" x={at} y="12" text-anchor={far ? "end" : "start"}>
              {text}
            </text>
          </g>
        ))}
        <svg x={-left} y={HEAD} width={width} height={Math.max(0, height - HEAD)} aria-hidden="true">
          <g transform={`translate(${left} 0)`}>
            {ridges.map(({ key, pinned, y, label, histogram, path, zero, other, loss }) => (
              <g
                key={key}
                class={pinned ? "ridge pinned" : "ridge"}
                transform={`translate(0 ${y})`}
                data-testid="ridge"
                data-key={key}
              >
                <path class="ridge-base" d={`M0 0H${axis.width}`} />
                <path class="ridge-area" d={path} />
                {zones.length > 0 && <path class="ridge-lost" d={path} clip-path="url(#ridge-lost)" />}
                <path class="ridge-zero" d={zero} />
                {other && <path class="ridge-other" d={other} />}
                <text class="ridge-step" x="-8" y="-1" text-anchor="end">
                  {label}
                </text>
                {isBroken(histogram) && <Broken x={brokenAt} histogram={histogram} />}
                {loss && summaryOf(histogram).finite > 0 && <Lost x={lossAt} loss={loss} />}
              </g>
            ))}
            {children}
          </g>
        </svg>
        <path class="ridge-axis" d={`M0 ${HEAD - 0.5}H${axis.width}`} />
        {/* At the very edge a label would be cut off. */}
        {axis.ticks.map(
          ({ at, label }) => (label === "0" || (at > 14 && at < axis.width - 14)) && head(at, label, "middle"),
        )}
        {ridges[0]?.label && head(-8, "Step", "end")}
        {broken && head(brokenAt, "Not finite")}
        {format && head(lossAt, `Lost in ${format.label.replace("float8 ", "")}`)}
      </g>
    </svg>
  );
}

interface Limit {
  readonly at: number;
  readonly strong: boolean;
  /** What lies beyond it, in numbers, for one side. */
  readonly text: string;
  /** Too near the end to be labelled to the right. */
  readonly far: boolean;
}

/** Those on the axis. On a logarithmic one a limit below the smallest value in use would lie in the gap at zero. */
function limitsOf(axis: ValueAxis, { vanish, normal, max }: Format): Limit[] {
  const log = axis.kind === "log";
  const apart = !log || axis.x(max) - axis.x(vanish) > 180;
  const texts = [
    log && `0 below ${formatValue(vanish)}`,
    "",
    apart && `max ${(max < 1e6 ? formatCount : formatValue)(max)}`,
  ];
  return [...(axis.last > 0 ? [1] : []), ...(axis.first < 0 ? [-1] : [])].flatMap((sign) =>
    [vanish, normal, max].flatMap((size, i): Limit[] => {
      const at = axis.x(sign * size);
      const inGap = log && sign * at < sign * axis.zero[sign > 0 ? 1 : 0];
      if (at < 0 || at > axis.width || inGap) return [];
      return [{ at, strong: i !== 1, text: (sign > 0 && texts[i]) || "", far: at > axis.width - 90 }];
    }),
  );
}

function Broken({ x, histogram }: { x: number; histogram: Histogram }) {
  const { nan, infinite, total } = summaryOf(histogram);
  return (
    <>
      <rect fill="url(#hatch)" x={x} y="-9" width="14" height="9" />
      <text class="ridge-broken" x={x + 18} y="-1">
        {(total === 1 ? formatShare : formatCount)(nan + infinite)}
      </text>
    </>
  );
}

function Lost({ x, loss }: { x: number; loss: Loss }) {
  const bar = (name: string, share: number) => (
    <rect class={name} x={x} y="-7" width={share > 0 ? Math.max(1, share * BAR) : 0} height="5" />
  );
  return (
    <>
      {bar("ridge-track", 1)}
      {bar("ridge-over", lostAtMost(loss))}
      {bar("ridge-under", loss.under)}
      <text class={lostAtLeast(loss) > 0 ? "ridge-loss" : ""} x={x + BAR + 6} y="-1">
        {lossText(loss)}
      </text>
    </>
  );
}
