/** Step labels above a picture. */
import { type StepAxis, stepTicks } from "../base/step_axis";

export function TimeAxis({ axis, width }: { axis: StepAxis; width: number }) {
  const ticks = stepTicks(axis, Math.max(2, Math.floor(width / 72)));
  let edge = Number.NEGATIVE_INFINITY;
  const shown = ticks.filter((tick) => {
    const left = tick.at * width;
    if (left - edge < 40) return false;
    edge = left;
    return true;
  });
  return (
    <div class="time-axis" aria-hidden="true">
      {shown.map((tick) => {
        const left = tick.at * width;
        const side = left > width - 24 ? "end" : left < 12 ? "start" : "";
        return (
          <span key={tick.label} class={`time-tick ${side}`} style={{ left: `${left}px` }}>
            {tick.label}
          </span>
        );
      })}
    </div>
  );
}
