/** The depth profile beside the heat map, and its value axis. */
import { useMemo, useRef } from "preact/hooks";
import { formatCount, formatValue } from "../../base/format";
import { useCanvas, useSize } from "../../base/hooks";
import { NONFINITE } from "../../data/series";
import type { VisibleRow } from "../../data/tree";
import type { RowWindow } from "../../views/row_frame";
import { type Theme, theme } from "../../views/theme";
import { drawProfile, PROFILE_INSET } from "./draw_profile";
import type { HeatModel } from "./model";

interface ProfileProps {
  readonly model: HeatModel;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly sample: number;
  readonly selected: string | null;
}

export function ProfilePane(props: ProfileProps) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const { model, rows, view, sample, selected } = props;
  const canvas = useMemo(
    () => <ProfileCanvas {...props} width={width} theme={theme.value} />,
    [model, rows, sample, selected, width, view.scrollTop, view.height, view.rowHeight, theme.value],
  );
  return (
    <div ref={box} class="profile" role="img" data-testid="depth-profile" aria-label={describeProfile(props)}>
      {canvas}
    </div>
  );
}

function ProfileCanvas(props: ProfileProps & { width: number; theme: Theme }) {
  const canvas = useCanvas((element) => drawProfile(element, props));
  return <canvas ref={canvas} style={{ width: `${props.width}px`, height: `${props.view.height}px` }} />;
}

function describeProfile({ model, rows, sample }: ProfileProps): string {
  const step = formatCount(model.loaded.series.steps[sample] ?? 0);
  const shown = rows.filter((r) => !r.expanded);
  const cells = shown.map((r) => model.cell(r.node, sample));
  const finite = cells.filter((c) => !Number.isNaN(c.value));
  const broken = cells.filter((c) => c.state === NONFINITE).length;
  const [first, last] = [finite[0], finite[finite.length - 1]];
  const ends =
    first && last ? `, ${formatValue(first.value)} in the first row, ${formatValue(last.value)} in the last` : "";
  return `Depth profile of ${model.statistic.label} at step ${step}: ${formatCount(shown.length)} rows${ends}${
    broken > 0 ? `, ${formatCount(broken)} not finite` : ""
  }`;
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
