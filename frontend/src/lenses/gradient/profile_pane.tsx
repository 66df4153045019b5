/** The depth profile beside the heat map: what its lines and its band are, its value axis, and the picture. */

import { formatCount, formatValue, plural } from "../../base/format";
import { useMemo } from "../../base/hooks";
import { type Band, bandOf, farDecades, hasBand, outside, weightedRows } from "../../data/expected";
import type { Manifest } from "../../data/manifest";
import { drawProfile, PROFILE_INSET, type ProfilePicture } from "./draw_profile";
import type { HeatModel } from "./model";
import type { Pair } from "./pair";
import { Panel } from "./panel";
import type { Shown } from "./shown";

/** What theory expects at a sample; null where it says nothing. */
export function useBand(manifest: Manifest, shown: Shown, sample: number): Band | null {
  const { series } = shown.a.loaded;
  const weighted = useMemo(() => weightedRows(manifest), [manifest]);
  return useMemo(
    () => (hasBand(series.name) ? bandOf(manifest, weighted, series, sample) : null),
    [manifest, weighted, series, sample],
  );
}

export function ProfileHead(props: { shown: Shown; pair: Pair | null; band: Band | null; sample: number }) {
  const { shown, pair, band, sample } = props;
  const { series } = shown.a.loaded;
  const out = band && outside(band, series, sample);
  const beyond = out ? out.low + out.high : 0;
  const step = formatCount(series.steps[sample] as number);
  return (
    <div class="corner end">
      <span>
        <span class="corner-title">Depth profile</span> <span class="muted">at step {step}</span>
      </span>
      {out && (
        <span class="profile-key" data-testid="expected" data-outside={beyond} title={explained(series.name)}>
          <span class="swatch-box band" />
          <span class={beyond > 0 ? "warn" : "muted"}>
            Expected; {beyond > 0 ? `${formatCount(beyond)} of ${formatCount(out.of)} outside` : "all within"}
          </span>
        </span>
      )}
      {pair && (
        <span class="profile-key muted">
          <span class="line first" />
          <span class="run-name">A {pair.a}</span>
          <span class="line second" />
          <span class="run-name">B {pair.b}</span>
        </span>
      )}
    </div>
  );
}

/** The band in words, with where it comes from. */
function explained(statistic: string): string {
  const limit = formatCount(10 ** farDecades(statistic));
  const [what, where] = statistic.startsWith("gradient/")
    ? ["each gradient at its norm", "last"]
    : ["the signal at its size", "first"];
  return `Weights that keep the variance pass on ${what} (Glorot & Bengio 2010, He et al. 2015): within a factor of 10 of the ${where} third of the layers with weights, and of ${limit} at the far end, where Diagnosis speaks up`;
}

export function ProfilePane(props: ProfilePicture) {
  const { shown, band, rows, view, sample, selected } = props;
  const label = useMemo(() => describeProfile(props), [shown, band, rows, sample]);
  return (
    <Panel
      class="profile"
      testid="depth-profile"
      label={label}
      height={view.height}
      draw={(context, theme, width) => drawProfile(props, context, theme, width)}
      of={[shown, band, rows, sample, selected, view.scrollTop, view.rowHeight]}
    />
  );
}

function describeProfile({ shown: { a }, band, rows, sample }: ProfilePicture): string {
  const { series } = a.loaded;
  const drawn = rows.filter((r) => !r.expanded).map((r) => a.cell(r.node, sample).value);
  const finite = drawn.filter((value) => !Number.isNaN(value));
  const [first, last] = [finite[0], finite[finite.length - 1]];
  const out = band && outside(band, series, sample);
  const ends = last !== undefined && `, ${formatValue(first as number)} in the first, ${formatValue(last)} in the last`;
  const beyond = out && `, ${formatCount(out.low)} below and ${formatCount(out.high)} above what theory expects`;
  const step = formatCount(series.steps[sample] ?? 0);
  return `Depth profile of ${a.statistic.label} at step ${step}: ${plural(drawn.length, "row")}${ends || ""}${beyond || ""}`;
}

export function ProfileAxis({ model }: { model: HeatModel }) {
  const ticks = model.loaded.domain.scale.ticks(5);
  return (
    <div class="profile-axis" aria-hidden="true">
      <div
        class="profile-ticks"
        style={{ left: `${PROFILE_INSET}px`, right: `calc(${PROFILE_INSET}px + var(--gutter))` }}
      >
        {ticks.map((tick) => (
          <span key={tick.at} class="time-tick" style={{ left: `${tick.at * 100}%` }}>
            {tick.label}
          </span>
        ))}
      </div>
    </div>
  );
}
