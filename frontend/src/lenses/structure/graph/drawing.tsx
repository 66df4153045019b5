/** The graph as SVG: containers, then lines, then what stands on them. */
import { formatExact } from "../../../base/format";
import { Chevron, Hatch, SeverityIcon } from "../../../views/icons";
import type { RowFacts } from "../facts";
import type { Paint } from "../paint";
import type { Layout, Place } from "./layout";
import { about, BOX_HEIGHT, cut, TEXT_MARGIN } from "./request";
import type { Box, Flow, Scene } from "./scene";

/** How a closed box looks. */
export interface Look {
  readonly paint: Paint;
  readonly value: number;
  readonly text: string;
  /** Word and mark of the worst finding. */
  readonly severity: "critical" | "warning" | "info" | null;
}

export interface DrawingProps {
  readonly scene: Scene;
  readonly layout: Layout;
  readonly facts: readonly RowFacts[];
  readonly looks: ReadonlyMap<Box, Look>;
  readonly selected: Box | null;
  /** null: no search. */
  readonly hits: ReadonlySet<Box> | null;
}

export function Drawing({ scene, layout, facts, looks, selected, hits }: DrawingProps) {
  const open = scene.boxes.filter((box) => box.open);
  const closed = scene.boxes.filter((box) => !box.open);
  const place = (box: Box) => layout.places[box.key] ?? NOWHERE;
  const lines = scene.flows.map((flow, i) => ({ flow, i, active: selected !== null && touches(flow, selected) }));
  return (
    <>
      <defs>
        <Arrow id="graph-arrow" />
        <Arrow id="graph-arrow-active" />
        <Hatch />
      </defs>
      {open.map((box) => (
        <rect
          key={box.key}
          class={`container${box === selected ? " selected" : ""}`}
          data-key={box.key}
          {...place(box)}
          rx="6"
        />
      ))}
      {lines.map(({ flow, i, active }) => (
        <path
          key={`${flow.from.key}>${flow.to.key}`}
          class={`flow${flow.back ? " back" : ""}${active ? " active" : ""}${dimmed(hits, flow.from) && dimmed(hits, flow.to) ? " dim" : ""}`}
          data-testid="graph-edge"
          data-from={endOf(flow.from, facts)}
          data-to={endOf(flow.to, facts)}
          data-count={flow.count}
          stroke-width={Math.min(3, 1.25 + 0.5 * Math.log2(flow.count)) + (active ? 0.75 : 0)}
          d={path(layout.routes[i] ?? [], flow.back)}
          marker-end={flow.to.node ? `url(#graph-arrow${active ? "-active" : ""})` : undefined}
        />
      ))}
      {open.map((box) => (
        <Title key={box.key} box={box} place={place(box)} selected={box === selected} />
      ))}
      {closed.map((box) => (
        <ClosedBox
          key={box.key}
          box={box}
          place={place(box)}
          facts={facts}
          look={looks.get(box)}
          selected={box === selected}
          dim={dimmed(hits, box)}
        />
      ))}
    </>
  );
}

const NOWHERE: Place = { x: 0, y: 0, width: 0, height: 0 };

const dimmed = (hits: ReadonlySet<Box> | null, box: Box): boolean =>
  hits !== null && box.node !== null && !hits.has(box);

export const touches = ({ from, to }: Flow, box: Box): boolean => from === box || to === box;

/** Row of the data, name of a group, or the join. */
function endOf(box: Box, facts: readonly RowFacts[]): string {
  const row = facts[box.node?.row ?? -1];
  return row ? String(row.row) : (box.node?.name ?? box.key);
}

function Arrow({ id }: { id: string }) {
  return (
    <marker
      id={id}
      viewBox="0 0 8 8"
      refX="7"
      refY="4"
      markerWidth="7"
      markerHeight="7"
      markerUnits="userSpaceOnUse"
      orient="auto"
    >
      <path class={id} d="M0.5 0.5 7.5 4 0.5 7.5z" />
    </marker>
  );
}

/** Leaves and arrives upright. */
function path(points: readonly number[], back: boolean): string {
  const at = points.map((n) => n.toFixed(1));
  let d = `M${at[0]} ${at[1]}`;
  for (let i = 2; i < at.length; i += 2) {
    const end = `${at[i]} ${at[i + 1]}`;
    const middle = (((points[i - 1] as number) + (points[i + 1] as number)) / 2).toFixed(1);
    d += back ? `L${end}` : `C${at[i - 2]} ${middle} ${at[i]} ${middle} ${end}`;
  }
  return d;
}

function Title({ box, place, selected }: { box: Box; place: Place; selected: boolean }) {
  const label = box.node?.label ?? "";
  return (
    <g
      class={`title${selected ? " selected" : ""}`}
      data-testid="graph-box"
      data-key={box.key}
      data-name={box.node?.name}
      data-open="true"
    >
      <rect x={place.x + 1} y={place.y + 1} width={place.width - 2} height={22} rx="5" />
      <Fold x={place.x} y={place.y} open={true} ink={undefined} />
      <text x={place.x + 22} y={place.y + 16}>
        {cut(label, place.width - 30, true)}
      </text>
    </g>
  );
}

/** Larger under the pointer than it looks. */
function Fold(props: { x: number; y: number; open: boolean; ink: string | undefined }) {
  const { x, y, open, ink } = props;
  return (
    <g class="fold" data-fold="true" transform={`translate(${x + 1} ${y + 1})`} style={{ color: ink }}>
      <rect width="21" height="22" />
      <svg x="5" y="5" width="12" height="12" aria-hidden="true">
        <Chevron open={open} />
      </svg>
    </g>
  );
}

interface ClosedProps {
  readonly box: Box;
  readonly place: Place;
  readonly facts: readonly RowFacts[];
  readonly look: Look | undefined;
  readonly selected: boolean;
  readonly dim: boolean;
}

function ClosedBox({ box, place, facts, look, selected, dim }: ClosedProps) {
  const { x, y, width } = place;
  const { node } = box;
  if (!node) {
    const [cx, cy] = [x + place.width / 2, y + place.height / 2];
    return (
      <g class="join" data-testid="graph-join" data-key={box.key}>
        <circle cx={cx} cy={cy} r={place.width / 2} />
        <path d={`M${cx - 3.5} ${cy}h7M${cx} ${cy - 3.5}v7`} />
      </g>
    );
  }
  const group = node.kind === "group";
  const paint = look?.paint;
  const broken = paint?.state === "nonfinite";
  const fill = broken ? "url(#hatch)" : (paint?.fill ?? undefined);
  const ink = paint?.ink ? { fill: paint.ink, stroke: "none" } : undefined;
  const inside = width - 2 * TEXT_MARGIN;
  return (
    <g
      class={`box ${node.kind} ${paint?.state ?? "missing"}${selected ? " selected" : ""}${dim ? " dim" : ""}`}
      data-testid="graph-box"
      data-key={box.key}
      data-name={node.name}
      data-kind={node.kind}
      data-value={look ? formatExact(look.value) : ""}
      {...(group ? { "data-open": "false" } : {})}
    >
      {group && node.folded && <rect class="stack" x={x + 6} y={y + 6} width={width} height={BOX_HEIGHT} rx="4" />}
      {group && <rect class="stack" x={x + 3} y={y + 3} width={width} height={BOX_HEIGHT} rx="4" />}
      <rect class="face" x={x} y={y} width={width} height={BOX_HEIGHT} rx="4" style={fill ? { fill } : undefined} />
      {broken && <rect class="plate" x={x + 4} y={y + 4} width={width - 8} height={BOX_HEIGHT - 8} rx="2" />}
      {group && <Fold x={x} y={y} open={false} ink={paint?.ink ?? undefined} />}
      <text class="name" x={x + TEXT_MARGIN + (group ? 12 : 0)} y={y + 17} style={ink}>
        {cut(node.label, inside - (group ? 12 : 0) - (look?.severity ? 16 : 0), true)}
      </text>
      <text class="about" x={x + TEXT_MARGIN} y={y + 32} style={ink}>
        {cut(about(node, facts), inside - 58, false)}
      </text>
      <text class="value" x={x + width - TEXT_MARGIN} y={y + 32} text-anchor="end" style={ink}>
        {look?.text}
      </text>
      {look?.severity && (
        <g>
          <circle class="plate" cx={x + width - 12} cy={y + 11} r="8" />
          <svg x={x + width - 18} y={y + 5} width="12" height="12" aria-hidden="true">
            <SeverityIcon severity={look.severity} />
          </svg>
        </g>
      )}
    </g>
  );
}
