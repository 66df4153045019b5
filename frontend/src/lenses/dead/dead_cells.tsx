/** What the table says of a layer, and of a closed group. */
import { formatCount, formatShare, plural } from "../../base/format";
import { type DeadData, type DeadGroup, type DeadRow, deadGroup } from "../../data/dead";
import type { Manifest } from "../../data/manifest";
import type { VisibleRow } from "../../data/tree";
import { SeverityIcon } from "../../views/icons";
import { sparkline } from "./sparkline";

export const TREND_WIDTH = 88;
const TREND_HEIGHT = 16;

const WORDS = { critical: "critical", warning: "warning", ok: "" } as const;

export function LayerCells({ data, rows, row }: { data: DeadData; rows: readonly DeadRow[]; row: VisibleRow }) {
  const layer = rows[row.node.row];
  if (!layer) return null;
  const trend = layer.kind === "none" ? null : <Trend data={data} rows={row.node.rows} severity={layer.severity} />;
  if (layer.kind !== "measured") {
    return (
      <>
        <div role="gridcell" class="num">
          {layer.units > 0 ? formatCount(layer.units) : "–"}
        </div>
        <div role="gridcell" class="dead-why muted">
          {reason(layer)}
        </div>
        <div role="gridcell" class="dead-trend">
          {layer.kind === "few" && trend}
        </div>
        <div role="gridcell" class="num muted">
          –
        </div>
        <div role="gridcell" class="dead-how muted" />
      </>
    );
  }
  return (
    <>
      <div role="gridcell" class="num">
        {formatCount(layer.units)}
      </div>
      <DeadShare dead={layer.dead} share={layer.share} severity={layer.severity} />
      <div role="gridcell" class="dead-trend">
        {trend}
      </div>
      <div role="gridcell" class={`num${layer.dead > 0 ? "" : " muted"}`}>
        {layer.dead > 0 ? formatCount(layer.since) : "–"}
      </div>
      <div role="gridcell" class="dead-how muted">
        {how(layer)}
      </div>
    </>
  );
}

export function GroupCells(props: { data: DeadData; rows: readonly DeadRow[]; row: VisibleRow; manifest: Manifest }) {
  const { data, rows, row, manifest } = props;
  if (row.expanded) return null;
  const group = deadGroup(rows, row.node.rows);
  if (group.judged === 0) {
    return (
      <>
        <div role="gridcell" />
        <div role="gridcell" class="dead-why muted">
          n/a
        </div>
      </>
    );
  }
  const worst = manifest.layers[group.worst]?.name;
  return (
    <>
      <div role="gridcell" class="num">
        {formatCount(group.units)}
      </div>
      <DeadShare dead={group.dead} share={group.worstShare} severity={group.severity} />
      <div role="gridcell" class="dead-trend">
        {group.worst >= 0 && <Trend data={data} rows={[group.worst]} severity={group.severity} />}
      </div>
      <div role="gridcell" class="num">
        {group.hit > 0 ? formatCount(group.since) : "–"}
      </div>
      <div role="gridcell" class="dead-how muted" title={worst ? `Worst: ${worst}` : undefined}>
        {group.hit > 0 ? `worst of ${group.hit} with dead` : "none dead"}
      </div>
    </>
  );
}

function DeadShare({ dead, share, severity }: { dead: number; share: number; severity: DeadGroup["severity"] }) {
  return (
    <div role="gridcell" class={`dead-share ${severity}`}>
      <span class="dead-icon" title={WORDS[severity]}>
        {severity !== "ok" && <SeverityIcon severity={severity} />}
        {severity !== "ok" && <span class="visually-hidden">{WORDS[severity]}</span>}
      </span>
      <span class="dead-count">{formatCount(dead)}</span>
      <span class="dead-bar" aria-hidden="true">
        <span style={{ width: `${share > 0 ? Math.max(2, share * 100) : 0}%` }} />
      </span>
      <span class="dead-percent">{formatShare(share)}</span>
    </div>
  );
}

function Trend({ data, rows, severity }: { data: DeadData; rows: readonly number[]; severity: DeadGroup["severity"] }) {
  const { line, area } = sparkline(data, rows, TREND_WIDTH, TREND_HEIGHT);
  return (
    <svg class={`trend ${severity}`} width={TREND_WIDTH} height={TREND_HEIGHT} aria-hidden="true">
      <path class="trend-base" d={`M0 ${TREND_HEIGHT - 0.5}H${TREND_WIDTH}`} />
      {area && <path class="trend-area" d={area} />}
      {line && <path class="trend-line" d={line} />}
    </svg>
  );
}

/** Why there is no count of dead units. */
export function reason(layer: DeadRow): string {
  if (layer.kind === "none") return "no units";
  if (layer.kind === "few") {
    return `too few values seen (${formatCount(layer.observations)} of ${formatCount(layer.needed)})`;
  }
  return layer.dormant > 0 ? `n/a · ${formatCount(layer.dormant)} dormant` : "n/a · none dormant";
}

function how(layer: DeadRow): string {
  if (layer.dead === 0) return "none";
  const died = layer.dead - layer.born;
  if (died === 0) return "born dead";
  if (layer.born === 0) return "died";
  return `${formatCount(layer.born)} born, ${formatCount(died)} died`;
}

/** The whole lens in one sentence. */
export function headline(data: DeadData, rows: readonly DeadRow[], manifest: Manifest) {
  const group = deadGroup(
    rows,
    manifest.layers.map((_, i) => i),
  );
  if (data.steps.length === 0) return { severity: "info" as const, text: "No record of the units yet" };
  if (group.judged === 0) {
    const few = rows.filter((r) => r.kind === "few").length;
    const text =
      few > 0
        ? `Too few values seen so far to call a unit dead (${plural(few, "layer")})`
        : "No layer here can have dead units: no activation is exactly zero over a range of inputs";
    return { severity: "info" as const, text };
  }
  if (group.hit === 0) {
    return { severity: "ok" as const, text: `No dead units in ${plural(group.judged, "layer")} that can have them` };
  }
  const worst = manifest.layers[group.worst]?.name ?? "";
  const text = `${plural(group.dead, "dead unit")} in ${group.hit} of ${plural(group.judged, "layer")}, the first since step ${formatCount(group.since)}; worst is ${worst} with ${formatShare(group.worstShare)}`;
  return { severity: group.severity === "ok" ? ("info" as const) : group.severity, text };
}
