/** A piece of evidence: its chart or its numbers, what it shows in a sentence, and the way to the whole picture. */
import { useMemo } from "preact/hooks";
import { formatCount } from "../../base/format";
import { useMeasure } from "../../base/hooks";
import type { Evidence } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import * as view from "../../data/view";
import { EvidenceTable } from "./evidence_table";
import { sentenceOf } from "./evidence_words";
import { overDepth, type Plot, plotOf } from "./plot";
import { describe, show, type Target } from "./show";
import { shortName, typeset } from "./words";

const HEIGHT = 104;
const MARGINS = { left: 48, right: 8, top: 8, bottom: 14 };
const SPARK = { width: 104, height: 20, left: 1, right: 1, top: 3, bottom: 3 };

export interface EvidenceFigureProps {
  readonly evidence: Evidence;
  readonly order: ReadonlyMap<string, number>;
  /** Further evidence has a way of its own; that of the first is the finding's. */
  readonly target: Target | null;
}

export function EvidenceFigure({ evidence, order, target }: EvidenceFigureProps) {
  const depth = overDepth(evidence, order);
  const sentence = sentenceOf(evidence, depth);
  return (
    <figure class="evidence" data-testid="evidence" data-statistic={evidence.statistic}>
      <figcaption>
        <span class="evidence-caption">{typeset(evidence.caption) || statisticOf(evidence.statistic).label}</span>
        {target && (
          <button
            type="button"
            class="link"
            title={describe(target)}
            aria-label={`Show me ${describe(target)}`}
            onClick={() => show(target)}
          >
            Show me
          </button>
        )}
      </figcaption>
      {view.table.value ? (
        <EvidenceTable evidence={evidence} />
      ) : (
        <Chart evidence={evidence} depth={depth} sentence={sentence} />
      )}
      <p class="evidence-sentence muted">{sentence}</p>
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
  const [from, to] = depth ? [rows[0], rows[rows.length - 1]] : [steps[0], steps[steps.length - 1]];
  const noun = statisticOf(evidence.statistic).rows === "layers" ? "layer" : "parameter";
  const end = (at: string | number | undefined) =>
    typeof at === "number" ? `step ${formatCount(at)}` : at === undefined ? "" : `${noun} ${at || "of the model"}`;
  const others = depth ? steps.length - 1 : rows.length - 1;
  const main = depth ? end(steps[steps.length - 1]) : shortName(rows[0] ?? "");
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
        <span title={String(from ?? "")}>{end(from)}</span>
        {from !== to && <span title={String(to ?? "")}>{end(to)}</span>}
      </div>
      <div class="evidence-legend" aria-hidden="true">
        <span class="evidence-key lead" title={main}>
          {main}
        </span>
        {others > 0 && <span class="evidence-key">{depth ? "earlier steps" : `${formatCount(others)} more`}</span>}
        {expected && <span class="evidence-key expected">expected</span>}
        {plot && plot.broken.length > 0 && <span class="evidence-key broken">NaN or Inf</span>}
      </div>
    </>
  );
}

/** The same, small and bare: beside the title of a finding. */
export function EvidenceSpark({ evidence, order }: { evidence: Evidence; order: ReadonlyMap<string, number> }) {
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
      {plot.broken.map((spot) => (
        <path
          key={`${spot.x} ${spot.y}`}
          class="evidence-broken"
          d={`M${spot.x - 3} ${spot.y - 3}l6 6M${spot.x + 3} ${spot.y - 3}l-6 6`}
        />
      ))}
    </>
  );
}
