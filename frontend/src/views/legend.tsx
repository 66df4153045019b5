/** The colour scale in words: a bar with round values, and the marks that are no colour. */
import { cssOf, type Ramp } from "../base/ramps";
import type { Domain } from "../data/domain";
import { isDiverging, type ScaleKind } from "../data/statistics";
import { theme } from "./theme";

const BAR = 200;

export function Legend({ domain, kind }: { domain: Domain; kind: ScaleKind }) {
  const { ramps } = theme.value;
  const ramp = isDiverging(kind) ? ramps.diverging : ramps.sequential;
  const ticks = domain.scale.ticks(kind === "share" ? 3 : 6);
  return (
    <div class="legend">
      {(kind === "log" || kind === "ratio") && domain.hasZero && <Swatch mark="zero" text="zero" />}
      <div class="legend-scale" style={{ width: `${BAR}px` }}>
        <div class="legend-bar" style={{ background: gradient(ramp) }} />
        {ticks.map((tick) => (
          <span key={tick.at} class="legend-tick" style={{ left: `${tick.at * BAR}px` }}>
            {domain.clipped && tick === ticks[0]
              ? "≤ "
              : domain.clipped && tick === ticks[ticks.length - 1]
                ? "≥ "
                : ""}
            {tick.label}
          </span>
        ))}
      </div>
      {domain.hasNonFinite && <Swatch mark="nonfinite" text="NaN or Inf" />}
      {domain.hasMissing && <Swatch mark="missing" text="not measured" />}
    </div>
  );
}

/** A mark and what it means. */
export function Swatch({ mark, text }: { mark: string; text: string }) {
  return (
    <span class="swatch">
      <span class={`swatch-box ${mark}`} />
      {text}
    </span>
  );
}

function gradient(ramp: Ramp): string {
  const stops = Array.from({ length: 17 }, (_, i) => cssOf(ramp[Math.round((i / 16) * (ramp.length - 1))] ?? 0));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
