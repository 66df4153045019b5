/** A piece of evidence: its chart or its numbers, what it shows in a sentence, and the way to the whole picture. */
import type { ComponentChildren } from "preact";
import { formatCount } from "../../base/format";
import { useMeasure, useMemo } from "../../base/hooks";
import type { Evidence } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import * as view from "../../data/view";
import { Swatch } from "../../views/legend";
import { EvidenceTable } from "./evidence_table";
import { sentenceOf } from "./evidence_words";
import { overDepth, type Plot, plotOf } from "./plot";
import { shortName, typeset } from "./words";

const HEIGHT = 104;
const MARGINS = { left: 48, right: 8, top: 8, bottom: 14 };
const SPARK = { width: 104, height: 20, left: 1, right: 1, top: 3, bottom: 3 };

interface EvidenceProps {
  readonly evidence: Evidence;
  readonly order: ReadonlyMap<string, number>;
  /** Beside the caption. */
  readonly children?: ComponentChildren;
}

export function EvidenceFigure({ evidence, order, children }: EvidenceProps) {
  const depth = overDepth(evidence, order);
  const sentence = sentenceOf(evidence, depth);
  const drawable = evidence.values.some((row) => row.some((value) => !Number.isNaN(value)));
  return (
    <figure class="evidence" data-testid="evidence" data-statistic={evidence.statistic}>
      <figcaption>
        <span>{typeset(evidence.caption) || statisticOf(evidence.statistic).label}</span>
        {children}
      </figcaption>
      {view.table.value ? (
        <EvidenceTable evidence={evidence} />
      ) : (
        drawable && <Chart evidence={evidence} depth={depth} sentence={sentence} />
      )}
      <p class="muted">{sentence}</p>
    </figure>
  );
}

function Chart({ evidence, depth, sentence }: { evidence: Evidence; depth: boolean; sentence: string }) {
  const { width, attach } = useMeasure<HTMLDivElement>();
  const plot = useMemo(
    () => (width > 0 ? plotOf(evidence, depth, { width, height: HEIGHT, ...MARGINS }) : null),
    [evidence, depth, width],
  );
  const { rows, steps, expected } = evidence;
  const noun = statisticOf(evidence.statistic).rows === "layers" ? "layer" : "parameter";
  const ends = depth ? rows.map((name) => `${noun} ${shortName(name)}`) : steps.map((s) => `step ${formatCount(s)}`);
  const others = (depth ? steps : rows).length - 1;
  return (
    <>
      <div class="evidence-chart" ref={attach} style={{ height: `${HEIGHT}px` }} role="img" aria-label={sentence}>
        {plot && (
          <svg width={width} height={HEIGHT} aria-hidden="true">
            <path
              class="evidence-grid"
              d={plot.ticks.map((t) => `M${MARGINS.left} ${Math.round(t.y) + 0.5}H${width - MARGINS.right}`).join("")}
            />
            <Curves plot={plot} />
            {plot.ticks.map((tick) => (
              <text key={tick.label} x={MARGINS.left - 6} y={tick.y + 4} text-anchor="end">
                {tick.label}
              </text>
            ))}
          </svg>
        )}
      </div>
      <div class="evidence-ends muted" aria-hidden="true">
        <span>{ends[0]}</span>
        {ends.length > 1 && <span>{ends[ends.length - 1]}</span>}
      </div>
      <div class="evidence-legend" aria-hidden="true">
        {others > 0 && <Swatch mark="others" text={depth ? "earlier steps" : `${formatCount(others)} more`} />}
        {expected && <Swatch mark="band" text="expected" />}
        {plot && plot.broken.length > 0 && <Swatch mark="nonfinite" text="NaN or Inf" />}
      </div>
    </>
  );
}

/** The same, small and bare: beside the title of a finding. */
export function EvidenceSpark({ evidence, order }: EvidenceProps) {
  const plot = useMemo(() => plotOf(evidence, overDepth(evidence, order), SPARK), [evidence, order]);
  return (
    <svg class="spark" width={SPARK.width} height={SPARK.height} aria-hidden="true">
      <Curves plot={plot} />
    </svg>
  );
}

function Curves({ plot }: { plot: Plot }) {
  return (
    <>
      {plot.expected?.area && <path class="evidence-band" d={plot.expected.area} />}
      {plot.expected && <path class="evidence-expected" d={plot.expected.line} />}
      {plot.lines.map((line) => (
        <g key={line.of} class={line.main ? "evidence-line lead" : "evidence-line"}>
          {line.path && <path d={line.path} />}
          {line.dots.map((dot) => (
            <circle key={dot.x} cx={dot.x} cy={dot.y} r={line.main ? 2.5 : 1.5} />
          ))}
        </g>
      ))}
      {plot.broken.map((spot, i) => (
        <path key={i} class="evidence-broken" d={`M${spot.x - 3} ${spot.y - 3}l6 6M${spot.x + 3} ${spot.y - 3}l-6 6`} />
      ))}
    </>
  );
}
