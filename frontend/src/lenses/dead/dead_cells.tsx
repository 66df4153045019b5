/** What the table says of a row: of a layer, or of a closed group the worst of it. */
import type { ComponentChildren } from "preact";
import { formatCount, formatPoints, formatShare } from "../../base/format";
import { type Severity, tallyOf, type Verdict } from "../../data/ailments";
import type { VisibleRow } from "../../data/tree";
import { SeverityIcon } from "../../views/icons";
import { Trend } from "../../views/trend";
import { counterpart, type Setting } from "./setting";
import { howOf, reasonOf } from "./words";

interface Reading {
  readonly units: number;
  /** Why there is no verdict; empty: there is one. */
  readonly why: string;
  readonly count: number;
  readonly share: number;
  readonly severity: Severity;
  readonly since: number;
  readonly how: string;
  /** The layer whose course is drawn; -1: none. */
  readonly row: number;
  /** Share in the other run; null: it cannot be said; undefined: there is no such layer. */
  readonly theirs: number | null | undefined;
}

export function DeadCells({ setting, row }: { setting: Setting; row: VisibleRow }) {
  const { shares, other, unit, manifest } = setting;
  if (row.expanded) return null;
  const { units, why, count, share, severity, since, how, theirs, ...found } =
    row.node.kind === "leaf" ? layerReading(setting, row.node.row) : groupReading(setting, row.node.rows);
  const twin = other?.rowOf.get(manifest.layers[found.row]?.name ?? "");
  const difference = why || theirs == null ? null : share - theirs;
  return (
    <>
      <Cell class="num dead-units">{formatCount(units || Number.NaN)}</Cell>
      {why ? (
        <Cell class="dead-why muted" title={why}>
          {why}
        </Cell>
      ) : (
        <Share count={count} share={share} severity={severity} />
      )}
      {other && (
        <>
          <Cell class="num muted">
            {theirs === undefined ? "not there" : theirs === null ? "n/a" : formatShare(theirs)}
          </Cell>
          <Cell class={`num ${!difference ? "muted" : difference > 0 ? "worse" : "better"}`}>
            {formatPoints(difference ?? Number.NaN)}
          </Cell>
        </>
      )}
      <Cell class="dead-trend">
        {found.row >= 0 && (
          <Trend
            width={88}
            height={16}
            x={unit}
            y={(value) => value}
            severity={severity}
            course={shares?.course(found.row) ?? null}
            beside={twin === undefined ? null : other?.shares?.course(twin)}
            filled
          />
        )}
      </Cell>
      <Cell class="num dead-since">{formatCount(since)}</Cell>
      {!other && <Cell class="dead-how muted">{how}</Cell>}
    </>
  );
}

function Cell(props: { class: string; title?: string; children: ComponentChildren }) {
  return <div role="gridcell" {...props} />;
}

const shareOf = (verdict: Verdict): number | null => (verdict.kind === "measured" ? verdict.share : null);

function layerReading(setting: Setting, row: number): Reading {
  const { ailment, verdicts, shares, manifest } = setting;
  const verdict = verdicts[row] as Verdict;
  const measured = verdict.kind === "measured";
  const theirs = counterpart(setting, manifest.layers[row]?.name ?? "");
  const drawn = measured || verdict.kind === "few" || (ailment === "dead" && verdict.kind === "other");
  return {
    ...verdict,
    why: measured ? "" : reasonOf(ailment, verdict, manifest.units),
    how: measured ? howOf(ailment, verdict, shares?.course(row)) : "",
    row: drawn ? row : -1,
    theirs: theirs ? shareOf(theirs) : undefined,
  };
}

function groupReading({ ailment, verdicts, manifest, other }: Setting, rows: readonly number[]): Reading {
  const tally = tallyOf(ailment, verdicts, rows);
  const twins = rows.flatMap((row) => other?.rowOf.get(manifest.layers[row]?.name ?? "") ?? []);
  const theirs = other && tallyOf(ailment, other.verdicts, twins);
  return {
    ...tally,
    why: tally.judged > 0 ? "" : "n/a",
    share: tally.worstShare,
    how: tally.hit > 0 ? `worst of ${tally.hit}` : "",
    row: tally.worst,
    theirs: twins.length === 0 ? undefined : theirs && theirs.judged > 0 ? theirs.worstShare : null,
  };
}

function Share({ count, share, severity }: { count: number; share: number; severity: Severity }) {
  return (
    <Cell class={`dead-share ${severity}`}>
      <span>
        {severity !== "ok" && (
          <>
            <SeverityIcon severity={severity} />
            <span class="visually-hidden">{severity}</span>
          </>
        )}
      </span>
      <span class="num">{Number.isNaN(count) ? "" : formatCount(count)}</span>
      <span class="dead-bar" aria-hidden="true">
        <span style={{ width: `${share > 0 ? Math.max(2, share * 100) : 0}%` }} />
      </span>
      <span class="num">{formatShare(share)}</span>
    </Cell>
  );
}
