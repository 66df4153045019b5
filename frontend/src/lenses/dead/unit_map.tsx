/** The life-line picture with its axis, cursor and readout. */
import { useSignal } from "@preact/signals";
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import { useMeasure, useMemo } from "../../base/hooks";
import { clamp } from "../../base/scales";
import { stepAxis } from "../../base/step_axis";
import { sampleAt } from "../../data/series";
import { DORMANT_SHARE, type UnitData } from "../../data/units";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import { useDrawing } from "../../views/drawing";
import { Cross, KeyPicture } from "../../views/key_picture";
import { useKeyNotes } from "../../views/keys";
import { RowFrame, type RowWindow } from "../../views/row_frame";
import { TimeAxis } from "../../views/time_axis";
import { drawUnitMap } from "./draw_unit_map";
import { lines } from "./mode";
import { useReadout } from "./readout";

export interface UnitMapProps {
  readonly data: UnitData;
  readonly states: Uint8Array;
  readonly order: Uint32Array;
  readonly byMagnitude: boolean;
  /** "36 dead now". */
  readonly lost: string;
}

interface Cursor {
  readonly line: number;
  readonly record: number;
}

/** Of a line when each unit has one. */
const LINE = 12;

export function UnitMap(props: UnitMapProps) {
  const { data, order } = props;
  const { width, attach } = useMeasure<HTMLDivElement>();
  const range = view.range.value;
  const kind = view.axis.value;
  const span = useMemo(() => spanOf(data, kind, range), [data, kind, range]);
  const unit = view.unit.value ?? -1;
  const line = useMemo(() => order.indexOf(unit), [order, unit]);
  // Few units have a line each in any case.
  const heightOf = (units: number, height: number) =>
    lines.value === "each" || units * LINE <= height
      ? Math.max(LINE, Math.floor(height / units))
      : height / Math.max(1, units);
  return (
    <div class="unit-picture">
      <div class="unit-axis" ref={attach}>
        <TimeAxis axis={span.axis} width={width} />
      </div>
      <RowFrame rows={data.units} active={line} activeKey={`${unit} ${lines.value}`} heightOf={heightOf}>
        {(window) => <Lines {...props} span={span} width={width} line={line} window={window} />}
      </RowFrame>
    </div>
  );
}

interface LinesProps extends UnitMapProps {
  readonly span: Span;
  readonly width: number;
  /** Of the selected unit; -1: none. */
  readonly line: number;
  readonly window: RowWindow;
}

function Lines({ data, states, order, byMagnitude, lost, span, width, line, window }: LinesProps) {
  const { axis, edges, first, last } = span;
  const { rowHeight, scrollTop } = window;
  const { units, steps, records } = data;
  const hover = useSignal<Cursor | null>(null);
  const part = useMemo(() => states.subarray(first * units, last * units), [states, first, last]);
  const shown = useMemo(() => order.subarray(window.first, window.last), [order, window.first, window.last]);
  const picture = { states: part, order: shown, units, records: last - first, edges };
  const canvas = useDrawing(width, shown.length * rowHeight, (...pen) => drawUnitMap(picture, ...pen), [
    part,
    shown,
    edges,
  ]);
  const topOf = (at: number) => `${at * rowHeight - scrollTop}px`;

  const within = (at: number) => clamp(at, first, last - 1);
  const record = within(sampleAt(steps, records, view.step.value));
  const cursor: Cursor | null = line < 0 ? null : { line, record };
  const pointed = hover.value ?? cursor;
  const said = pointed ? describeUnit(data, order[pointed.line] ?? 0, pointed.record, byMagnitude) : "";
  useReadout(said);

  const place = (unitX: number, y: number): Cursor => ({
    line: clamp(Math.floor((y + scrollTop) / rowHeight), 0, units - 1),
    record: within(sampleAt(steps, records, axis.step(unitX))),
  });
  const pin = (at: Cursor) => {
    view.unit.value = order[clamp(at.line, 0, units - 1)] ?? null;
    view.step.value = steps[within(at.record)] ?? null;
  };
  useKeyNotes("Life lines", [
    { keys: ["ArrowUp", "ArrowDown"], text: "Row above, below" },
    { keys: ["PgUp", "PgDn"], text: "A page of rows" },
    { keys: ["ArrowLeft", "ArrowRight"], text: "Previous, next record" },
    { keys: ["Home", "End"], text: "First, last record" },
    { keys: ["Escape"], text: "No row" },
  ]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || event.metaKey) return;
    const page = Math.ceil(Math.min(shown.length - 1, units / 16)) || 1;
    const by: Record<string, readonly [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowRight: [0, 1],
      ArrowLeft: [0, -1],
      PageDown: [page, 0],
      PageUp: [-page, 0],
      Home: event.ctrlKey ? [-units, 0] : [0, -records],
      End: event.ctrlKey ? [units, 0] : [0, records],
    };
    const move = by[event.key];
    if (event.key === "Escape") view.unit.value = null;
    else if (!move) return;
    event.preventDefault();
    hover.value = null;
    // The first key only shows where one is.
    if (move) pin(cursor ? { line: line + move[0], record: record + move[1] } : { line: window.first, record });
  };
  return (
    <>
      <div class="unit-numbers" aria-hidden="true">
        {rowHeight >= LINE &&
          Array.from(shown, (id, i) => (
            <span key={id} style={{ top: topOf(window.first + i), lineHeight: `${rowHeight}px` }}>
              {id}
            </span>
          ))}
      </div>
      <Brush
        class="unit-brush"
        axis={axis}
        onHover={(at, y) => {
          hover.value = place(at, y);
        }}
        onLeave={() => {
          hover.value = null;
        }}
        onClick={(at, y) => pin(place(at, y))}
      >
        <KeyPicture
          testid="unit-map"
          label={`Life lines of ${plural(units, "unit")} over ${plural(records, "record")}; ${lost}`}
          onKeyDown={onKeyDown}
        >
          <div style={{ transform: `translateY(${topOf(window.first)})` }}>{canvas}</div>
        </KeyPicture>
        {pointed && (
          <div
            class={`cross-row${hover.value ? "" : " pinned"}`}
            style={{ top: topOf(pointed.line), height: `${Math.max(2, rowHeight)}px` }}
          />
        )}
        {(pointed || view.step.value !== null) && (
          <Cross at={axis.unit(steps[pointed?.record ?? record] ?? 0) * width} pinned={!hover.value} />
        )}
      </Brush>
      <div class="visually-hidden" aria-live="polite">
        {cursor && !hover.value ? said : ""}
      </div>
    </>
  );
}

type Span = ReturnType<typeof spanOf>;

/**
 * The records in the chosen steps. A record is written at the *end* of the time it tells about, so its column runs
 * from the record before to its own step.
 */
function spanOf({ steps, records }: UnitData, kind: "linear" | "log", range: readonly [number, number] | null) {
  const [one = 0, two = one + 1] = steps;
  const start = Math.max(0, 2 * one - two);
  const end = steps[records - 1] ?? 1;
  const from = Math.max(range?.[0] ?? start, start);
  const to = Math.max(Math.min(range?.[1] ?? end, end), from + 1);
  const at = (step: number) => {
    const record = steps.findIndex((s) => s >= step);
    return record < 0 ? records - 1 : record;
  };
  const [first, last] = [at(from), at(to) + 1];
  const axis = stepAxis(kind, from, to);
  const edges = Float64Array.from({ length: last - first + 1 }, (_, i) =>
    clamp(axis.unit(steps[first + i - 1] ?? start)),
  );
  // A first record that closes where it begins has no width by its steps; alone, it is the whole picture.
  if (edges.length === 2 && edges[0] === edges[1]) edges.set([0, 1]);
  return { axis, edges, first, last };
}

function describeUnit(data: UnitData, unit: number, record: number, byMagnitude: boolean): string {
  const at = record * data.units + unit;
  const dead = data.dead[unit] === 1 && !byMagnitude ? ", dead now" : "";
  const head = `Unit ${unit}${dead} · step ${formatCount(data.steps[record] ?? 0)}`;
  if ((data.observations[record] ?? 0) === 0) return `${head}: the layer did not run`;
  if (byMagnitude) {
    const size = data.magnitudeLevels[data.magnitude[at] ?? 0] ?? 0;
    return `${head}: magnitude about ${formatValue(size)} × the layer's mean${size <= DORMANT_SHARE ? ", dormant" : ""}`;
  }
  return `${head}: fires on about ${formatShare(data.firingLevels[data.firing[at] ?? 0] ?? 0)} of values`;
}
