/** The life-line picture with its axis, cursor and readout. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import { useCanvas, useMeasure } from "../../base/hooks";
import { stepAxis } from "../../base/step_axis";
import { sampleAt } from "../../data/series";
import type { UnitData } from "../../data/units";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import { theme } from "../../views/theme";
import { TimeAxis } from "../../views/time_axis";
import { drawUnitMap, type UnitMapPicture } from "./draw_unit_map";

export interface UnitMapProps {
  readonly data: UnitData;
  readonly states: Uint8Array;
  readonly order: Uint32Array;
  readonly byMagnitude: boolean;
  readonly readout: Signal<string>;
  readonly dead: number;
}

interface Cursor {
  readonly line: number;
  readonly record: number;
}

export function UnitMap({ data, states, order, byMagnitude, readout, dead }: UnitMapProps) {
  const { width, height, attach } = useMeasure<HTMLDivElement>();
  const cursor = useSignal<Cursor | null>(null);
  const hover = useSignal<Cursor | null>(null);
  const range = view.range.value;
  const kind = view.axis.value;
  const { axis, edges, first, last } = useMemo(() => windowOf(data, kind, range), [data, kind, range]);
  const records = last - first;
  const part = useMemo(() => states.subarray(first * data.units, last * data.units), [states, first, last]);
  const canvas = useMemo(
    () => (
      <MapCanvas
        states={part}
        order={order}
        records={records}
        edges={edges}
        width={width}
        height={height}
        theme={theme.value}
      />
    ),
    [part, order, edges, width, height, theme.value],
  );
  const pointed = hover.value ?? cursor.value;
  useEffect(() => {
    readout.value = pointed ? describeUnit(data, order[pointed.line] ?? 0, pointed.record, byMagnitude) : "";
    return () => {
      readout.value = "";
    };
  }, [pointed, data, order]);

  const place = (unit: number, y: number): Cursor => ({
    line: Math.max(0, Math.min(data.units - 1, Math.floor((y / Math.max(1, height)) * data.units))),
    record: Math.max(first, Math.min(last - 1, sampleAt(data.steps, data.records, axis.step(unit)))),
  });
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = cursor.value ?? { line: 0, record: last - 1 };
    const by: Record<string, readonly [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
      Home: [0, -data.records],
      End: [0, data.records],
    };
    const move = by[event.key];
    if (!move) return;
    event.preventDefault();
    hover.value = null;
    cursor.value = {
      line: Math.max(0, Math.min(data.units - 1, now.line + move[0])),
      record: Math.max(first, Math.min(last - 1, now.record + move[1])),
    };
  };
  const tall = height / Math.max(1, data.units);
  return (
    <div class="unit-picture">
      <div class="unit-axis">
        <TimeAxis axis={axis} width={width} />
      </div>
      <Brush
        class="unit-brush"
        onHover={(unit, y) => {
          hover.value = records > 0 ? place(unit, y) : null;
        }}
        onLeave={() => {
          hover.value = null;
        }}
        onClick={(unit, y) => {
          cursor.value = place(unit, y);
          view.step.value = data.steps[cursor.value.record] ?? null;
        }}
        onRange={(from, to) => {
          const [left, right] = [Math.floor(axis.step(from)), Math.ceil(axis.step(to))];
          if (right > left) view.range.value = [left, right];
        }}
        onReset={() => {
          view.range.value = null;
        }}
      >
        <div
          ref={attach}
          class="unit-focus"
          role="img"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: the cell cursor moves with the arrow keys
          tabIndex={0}
          data-testid="unit-map"
          aria-label={`Life lines of ${plural(data.units, "unit")} over ${plural(data.records, "record")}; ${formatCount(dead)} dead now`}
          aria-describedby="heat-keys"
          onKeyDown={onKeyDown}
        >
          {canvas}
        </div>
        {pointed && (
          <>
            <div class="cross-row" style={{ top: `${pointed.line * tall}px`, height: `${Math.max(1, tall)}px` }} />
            <div class="cross" style={{ left: `${axis.unit(data.steps[pointed.record] ?? 0) * width}px` }} />
          </>
        )}
      </Brush>
      <div class="visually-hidden" aria-live="polite">
        {cursor.value && !hover.value ? readout.value : ""}
      </div>
    </div>
  );
}

function MapCanvas(props: UnitMapPicture) {
  const canvas = useCanvas((element) => drawUnitMap(element, props));
  return <canvas ref={canvas} style={{ width: `${props.width}px`, height: `${props.height}px` }} />;
}

/**
 * The records in the chosen steps. A record is written at the *end* of the time it tells about, so its column runs
 * from the record before to its own step.
 */
function windowOf(data: UnitData, kind: "linear" | "log", range: readonly [number, number] | null) {
  const { steps, records } = data;
  const [start, end] = [steps[0] ?? 0, steps[records - 1] ?? 1];
  const lead = records > 1 ? Math.min((steps[1] as number) - start, start) : Math.min(1, start);
  const from = Math.max(range?.[0] ?? start - lead, start - lead);
  const to = Math.max(Math.min(range?.[1] ?? end, end), from + 1);
  let first = 0;
  while (first < records - 1 && (steps[first] as number) < from) first++;
  let last = records;
  while (last > first + 1 && (steps[last - 2] as number) >= to) last--;
  const axis = stepAxis(kind, from, to);
  const edges = new Float64Array(last - first + 1);
  for (let r = first; r < last; r++) {
    const before = r > 0 ? (steps[r - 1] as number) : start - Math.max(lead, 0);
    edges[r - first] = Math.max(0, axis.unit(before));
    edges[r - first + 1] = Math.min(1, axis.unit(steps[r] as number));
  }
  return { axis, edges, first, last };
}

export function describeUnit(data: UnitData, unit: number, record: number, byMagnitude: boolean): string {
  const step = `step ${formatCount(data.steps[record] ?? 0)}`;
  const at = record * data.units + unit;
  const last = data.lastFired[unit] ?? Number.NaN;
  const history =
    data.dead[unit] === 1
      ? Number.isNaN(last)
        ? "dead, never active"
        : `dead, last active step ${formatCount(last)}`
      : Number.isNaN(last)
        ? "never active"
        : `last active step ${formatCount(last)}`;
  if ((data.observations[record] ?? 0) === 0) return `Unit ${unit} · ${history} · ${step}: the layer did not run`;
  const firing = formatShare(data.firingLevels[data.firing[at] ?? 0] ?? 0);
  const size = formatValue(data.magnitudeLevels[data.magnitude[at] ?? 0] ?? 0);
  const now = byMagnitude ? `magnitude about ${size} × the layer's mean` : `fires on about ${firing} of values`;
  return `Unit ${unit} · ${history} · ${step}: ${now}`;
}
