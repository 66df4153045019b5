/** A layer's share over time, where there are no records of its units to draw one by one. */
import { useSignal } from "@preact/signals";
import { formatCount, formatExact, formatShare } from "../../base/format";
import { useMeasure } from "../../base/hooks";
import { clamp } from "../../base/scales";
import type { Course } from "../../base/sparkline";
import { stepAxis } from "../../base/step_axis";
import type { Ailment } from "../../data/ailments";
import { lineScale } from "../../data/domain";
import { sampleAt } from "../../data/series";
import * as view from "../../data/view";
import { Brush } from "../../views/brush";
import { DataTable, usePages } from "../../views/data_table";
import { Cross, KeyPicture } from "../../views/key_picture";
import { useKeyNotes, useStepKeys } from "../../views/keys";
import { TimeAxis } from "../../views/time_axis";
import { Trend } from "../../views/trend";
import { useReadout } from "./readout";
import type { Setting } from "./setting";
import { peakOf } from "./words";

const WORDS: Readonly<Record<Ailment, string>> = {
  dead: "silent on this step's batch",
  dormant: "dormant",
  saturated: "saturated",
};

export function SharePanel({ setting, row }: { setting: Setting; row: number }) {
  const { ailment, shares, manifest, verdicts, other } = setting;
  useStepKeys(shares?.steps, shares?.count);
  const layer = manifest.layers[row];
  const word = WORDS[ailment];
  const course = shares?.course(row);
  const twin = other?.rowOf.get(layer?.name ?? "");
  const why =
    ailment === "saturated"
      ? layer?.bounded
        ? "Share of all outputs that lie at the limits (|tanh| above 0.97 and its like), where hardly any gradient passes"
        : `${layer?.type} has no limits to saturate at`
      : verdicts[row]?.units === 0
        ? "This layer has no units to follow"
        : `This run was recorded without units; this is the share of units ${word}`;
  return (
    <>
      <p class="units-meaning">{why}</p>
      {course &&
        verdicts[row]?.kind !== "none" &&
        !Number.isNaN(peakOf(course)) &&
        (view.table.value ? (
          <ShareTable course={course} word={word} />
        ) : (
          <ShareChart
            course={course}
            beside={twin === undefined ? null : (other?.shares?.course(twin) ?? null)}
            word={word}
          />
        ))}
    </>
  );
}

function ShareChart({ course, beside, word }: { course: Course; beside: Course | null; word: string }) {
  const { width, height, attach } = useMeasure<HTMLDivElement>();
  const hover = useSignal<number | null>(null);
  const { steps, count } = course;
  const stepOf = (sample: number) => steps[clamp(sample, 0, count - 1)] as number;
  const [from, to] = view.range.value ?? [stepOf(0), stepOf(count)];
  const axis = stepAxis(view.axis.value, from, to);
  const scale = lineScale("share", [peakOf(course), beside ? peakOf(beside) : 0]);
  const pinned = sampleAt(steps, count, view.step.value);
  const sample = hover.value ?? pinned;
  const share = course.at(sample);
  const said = `Step ${formatCount(stepOf(sample))}: ${Number.isNaN(share) ? "not measured" : `${formatShare(share)} ${word}`}`;
  useReadout(said);
  useKeyNotes("Share", [
    { keys: ["ArrowLeft", "ArrowRight"], text: "Previous, next sampled step" },
    { keys: ["Home", "End"], text: "First, last sampled step" },
  ]);
  const at = (unit: number) => sampleAt(steps, count, axis.step(unit));
  const ticks = scale.ticks(3);
  return (
    <div class="unit-picture share-picture">
      <div class="unit-axis">
        <TimeAxis axis={axis} width={width} />
      </div>
      <div class="share-plot">
        <div class="unit-numbers" aria-hidden="true">
          {ticks.map((tick) => (
            <span key={tick.label} style={{ bottom: `${tick.at * 100}%` }}>
              {tick.label}
            </span>
          ))}
        </div>
        <Brush
          class="unit-brush"
          axis={axis}
          onHover={(unit) => {
            hover.value = at(unit);
          }}
          onLeave={() => {
            hover.value = null;
          }}
          onClick={(unit) => {
            view.step.value = stepOf(at(unit));
          }}
        >
          <KeyPicture
            attach={attach}
            testid="share-chart"
            label={`Share ${word} over steps ${formatCount(from)} to ${formatCount(to)}. ${said}`}
            onKeyDown={(event) => {
              const by = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count }[event.key];
              if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
              event.preventDefault();
              view.step.value = stepOf(pinned + by);
            }}
          >
            <Trend
              width={width}
              height={height}
              x={axis.unit}
              y={scale.unit}
              course={course}
              beside={beside}
              marks={ticks.map((tick) => tick.at)}
              filled
            />
          </KeyPicture>
          <Cross at={axis.unit(stepOf(sample)) * width} pinned={hover.value === null} />
        </Brush>
      </div>
    </div>
  );
}

function ShareTable({ course, word }: { course: Course; word: string }) {
  const { steps, count } = course;
  const { from, to, pager } = usePages("Samples", count, 500, count - 1);
  return (
    <DataTable
      testid="share-table"
      label={`Share ${word} by steps`}
      pagers={pager}
      head={[["Step"], [`Share ${word}`]]}
      lines={Array.from(steps.subarray(from, to), (step, i) => {
        const share = course.at(from + i);
        return {
          cells: [[formatCount(step)], [Number.isNaN(share) ? "–" : formatExact(share), { "data-step": step }]],
        };
      })}
    />
  );
}
