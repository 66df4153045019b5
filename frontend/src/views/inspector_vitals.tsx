/** Vital signs at the cursor, each with its course over the run; of a group those of its worst member. */
import { batch } from "@preact/signals";
import { formatCount, formatExact } from "../base/format";
import { useMemo } from "../base/hooks";
import { stepAxis } from "../base/step_axis";
import { verdictOf } from "../data/ailments";
import { lineScale } from "../data/domain";
import type { Layer, Manifest } from "../data/manifest";
import type { LoadedSeries, RunStore } from "../data/run_store";
import { type Selection, sizeOf } from "../data/selection";
import { courseOf, MISSING, NONFINITE, sampleAt } from "../data/series";
import { statisticOf } from "../data/statistics";
import * as view from "../data/view";
import { type Cell, cellOf } from "../lenses/gradient/model";
import { vitalText } from "../lenses/structure/words";
import { Trend } from "./trend";

interface VitalsProps {
  readonly run: RunStore;
  readonly manifest: Manifest;
  readonly selection: Selection;
  /** The second run, and the same there. */
  readonly other: RunStore | null;
  readonly twin: Selection | null;
}

/** Those that say something of this layer; of a group all that any of its layers has. */
function signsOf(layers: readonly Layer[]): string[] {
  const signs: readonly (readonly [name: string, has?: (layer: Layer) => boolean])[] = [
    ["gradient/rms"],
    ["activation/rms"],
    ["activation/std"],
    ["activation/zero_fraction", (l) => l.function !== null],
    ["activation/dead_fraction", (l) => l.reachesZero],
    ["activation/dormant_fraction", (l) => l.function !== null && !l.reachesZero],
    ["activation/saturated_fraction", (l) => l.bounded],
    ["activation/nonfinite_fraction"],
    ["gradient/nonfinite_fraction"],
  ];
  return signs.flatMap(([name, has]) => (!has || layers.some(has) ? [name] : []));
}

/** Left to the lens beside it, of what a run keeps in memory. */
const SPARE = 4;

/**
 * The statistics one after the other: each is a whole matrix, and the lens beside this has the server first. No more of
 * them than are kept in memory, or they would drive each other out and be fetched over and over.
 */
function useSeries(run: RunStore | null, names: readonly string[]): ReadonlyMap<string, LoadedSeries> {
  const found = new Map<string, LoadedSeries>();
  const known = run?.manifest.value?.statistics ?? [];
  for (const name of names.filter((n) => known.includes(n)).slice(0, Math.max(1, (run?.room() ?? 0) - SPARE))) {
    const loaded = run?.seriesOf(name).value;
    if (!loaded) break;
    found.set(name, loaded);
  }
  return found;
}

export function InspectorVitals({ run, manifest, selection, other, twin }: VitalsProps) {
  const { rows, layer, kind } = selection;
  const names = signsOf(rows.flatMap((row) => manifest.layers[row] ?? []));
  const mine = useSeries(run, names);
  const theirs = useSeries(twin?.rows.length ? other : null, names);
  return (
    <section aria-label="Vital signs">
      <h3>
        Vital signs <span class="muted">at step {formatCount(view.step.value ?? manifest.lastStep)}</span>
      </h3>
      {other && twin && (
        <div class="vital muted" aria-hidden="true">
          <span />
          <span />
          <span>{run.name}</span>
          <span>{other.name}</span>
        </div>
      )}
      {names
        .filter((name) => manifest.statistics.includes(name))
        .map((name) => (
          <Vital
            key={name}
            name={name}
            mine={mine.get(name)}
            rows={rows}
            nameOf={kind === "group" && rows.length > 1 ? (row) => manifest.layers[row]?.name ?? "" : null}
            theirs={theirs.get(name)}
            twins={twin?.rows ?? null}
          />
        ))}
      {layer && <DeadNow run={run} manifest={manifest} layer={layer} row={rows[0] ?? 0} />}
    </section>
  );
}

/** Who is dead takes more than one step to say. */
function DeadNow({ run, manifest, layer, row }: { run: RunStore; manifest: Manifest; layer: Layer; row: number }) {
  const data = manifest.units && layer.reachesZero ? run.dead().value : null;
  const verdict = data && verdictOf("dead", layer, row, data, null);
  if (verdict?.kind !== "measured") return null;
  const since = verdict.count > 0 ? `, the first since step ${formatCount(verdict.since)}` : "";
  return (
    <p data-testid="inspector-dead" data-dead={verdict.count}>
      {formatCount(verdict.count)} of {formatCount(verdict.units)} units dead now{since}
    </p>
  );
}

interface VitalProps {
  readonly name: string;
  readonly mine: LoadedSeries | undefined;
  readonly rows: readonly number[];
  /** Of a group: what the member is called that the value comes from. */
  readonly nameOf?: ((row: number) => string) | null;
  readonly theirs: LoadedSeries | undefined;
  /** Rows in the second run; null without one. */
  readonly twins: readonly number[] | null;
}

function Vital({ name, mine, rows, nameOf, theirs, twins }: VitalProps) {
  const { label, read, scale } = statisticOf(name);
  const here = readingOf(mine, rows);
  const there = readingOf(theirs, twins ?? []);
  const member = nameOf && here ? nameOf(here.row) : null;
  return (
    <div
      class="vital"
      data-testid="vital"
      data-statistic={name}
      data-value={exact(here)}
      {...(twins ? { "data-other-value": exact(there) } : {})}
    >
      <button
        type="button"
        class="link"
        title={read || label}
        onClick={() =>
          batch(() => {
            view.stat.value = name;
            view.lens.value = "gradient";
          })
        }
      >
        {label.replace(" or ", "/")}
      </button>
      <Spark mine={mine} row={here?.row ?? -1} theirs={theirs} twin={there?.row ?? -1} />
      <span class={`num${here?.state === NONFINITE ? " worse" : ""}`}>{here && vitalText(here, scale)}</span>
      {twins && <span class="num muted">{there && vitalText(there, scale)}</span>}
      {member !== null && (
        <button
          type="button"
          class="link vital-member"
          title={`Worst of ${rows.length}: ${member}`}
          onClick={() => {
            view.layer.value = member;
          }}
        >
          {member}
        </button>
      )}
    </div>
  );
}

/** Of several rows the worst one's value, at the cursor. */
function readingOf(loaded: LoadedSeries | undefined, rows: readonly number[]): Cell | null {
  if (!loaded) return null;
  const { name, steps, count } = loaded.series;
  const cell = cellOf(loaded, statisticOf(name), rows, sampleAt(steps, count, view.step.value));
  return { ...cell, row: cell.row >= 0 ? cell.row : (rows[0] ?? -1) };
}

const exact = (cell: Cell | null): string => (cell && cell.state !== MISSING ? formatExact(cell.value) : "");

interface SparkProps {
  readonly mine: LoadedSeries | undefined;
  readonly row: number;
  readonly theirs: LoadedSeries | undefined;
  readonly twin: number;
}

function Spark({ mine, row, theirs, twin }: SparkProps) {
  const [a, b] = [mine?.series, theirs?.series];
  const kind = view.axis.value;
  const drawn = useMemo(() => {
    const course = a && row >= 0 ? courseOf(a, row) : null;
    const beside = b && twin >= 0 ? courseOf(b, twin) : null;
    const both = [course, beside].flatMap((of) => of ?? []);
    const values = both.flatMap(({ count, at }) => Array.from({ length: count }, (_, i) => at(i)));
    const { unit } = lineScale(statisticOf(a?.name ?? "").scale, values);
    const last = Math.max(0, ...both.map(({ steps, count }) => steps[count - 1] ?? 0));
    return {
      course,
      beside,
      x: stepAxis(kind, a?.steps[0] ?? 0, last).unit,
      // A zero has no place on a logarithmic axis: it lies at the bottom.
      y: (value: number) => (Number.isFinite(value) ? unit(value) || 0 : Number.NaN),
    };
  }, [a, row, b, twin, kind]);
  return <Trend width={72} height={16} {...drawn} cursor={view.step.value ?? a?.steps[a.count - 1] ?? 0} />;
}

const RATIO = "parameter/update_ratio";
const RATE = "parameter/learning_rate";
/** Of a group of many. */
const LISTED = 12;

/** Each parameter with its size, its learning rate and how far a step moves it. */
export function ParameterList({ run, manifest, selection, other, twin }: VitalsProps) {
  const mine = useSeries(run, [RATIO, RATE]);
  const theirs = useSeries(twin?.parameters.length ? other : null, [RATIO]);
  const { parameters, name } = selection;
  const twins = new Map(twin?.parameters.map(({ parameter, row }) => [parameter.name, row]));
  return (
    <section aria-label="Parameters">
      <h3>
        Parameters <span class="muted">{formatCount(parameters.length)}</span>
      </h3>
      {parameters.slice(0, LISTED).map(({ parameter, row }) => {
        const rate = readingOf(mine.get(RATE), [row]);
        const at = twins.get(parameter.name);
        const { shape, trainable } = parameter;
        return (
          <div
            key={parameter.name}
            data-testid="inspector-parameter"
            data-name={parameter.name}
            data-rate={exact(rate)}
          >
            <p class="parameter" title={parameter.name}>
              <span>
                {parameter.name.startsWith(`${name}.`) ? parameter.name.slice(name.length + 1) : parameter.name}
              </span>
              <span class="muted">
                {shape.join(" × ") || "a number"}
                {shape.length > 1 && ` = ${formatCount(sizeOf(parameter))}`}
                {!trainable ? " · frozen" : exact(rate) && rate ? ` · lr ${vitalText(rate, "log")}` : ""}
              </span>
            </p>
            {trainable && manifest.statistics.includes(RATIO) && (
              <Vital
                name={RATIO}
                mine={mine.get(RATIO)}
                rows={[row]}
                theirs={theirs.get(RATIO)}
                twins={twin && (at === undefined ? [] : [at])}
              />
            )}
          </div>
        );
      })}
      {parameters.length > LISTED && <p class="muted">and {formatCount(parameters.length - LISTED)} more</p>}
    </section>
  );
}
