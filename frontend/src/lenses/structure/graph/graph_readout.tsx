/** What is under the pointer, or selected, in words. */
import type { Signal } from "@preact/signals";
import { formatCount, formatExact, plural } from "../../../base/format";
import type { Statistic } from "../../../data/statistics";
import { CursorLine } from "../../../views/status_line";
import { totalsOf } from "../facts";
import type { Vitals } from "../vitals";
import { formatSize, shapeText, typeText } from "../words";
import type { Look } from "./drawing";
import { type Box, neighbours, type Scene } from "./scene";

export interface GraphReadoutProps {
  readonly vitals: Vitals;
  readonly scene: Scene | null;
  readonly selected: Box | null;
  /** Key of the box under the pointer; read here alone, so that pointing draws nothing again. */
  readonly hover: Signal<string | null>;
  readonly looks: ReadonlyMap<Box, Look>;
  readonly statistic: Statistic;
}

export function GraphReadout({ vitals, scene, selected, hover, looks, statistic }: GraphReadoutProps) {
  const pointed = scene?.boxes.find((at) => at.key === hover.value) ?? null;
  const box = pointed ?? selected;
  const { facts, manifest } = vitals;
  const step = vitals.step ?? manifest.lastStep;
  if (!scene || !box) {
    return <CursorLine data={{ "data-step": step }}>Step {formatCount(step)}</CursorLine>;
  }
  const { node } = box;
  const look = looks.get(box);
  const row = facts[node?.row ?? -1];
  const { parameters } = totalsOf(facts, node?.rows ?? []);
  const parts = [
    row ? typeText(row) : node && plural(node.rows.length, "layer"),
    row && shapeText(row),
    parameters > 0 && `${formatSize(parameters)} parameters`,
    look?.text && `${statistic.label} ${look.text}`,
    namesOf("fed by", neighbours(scene, box, false)),
    namesOf("feeds", neighbours(scene, box, true)),
  ];
  return (
    <CursorLine
      data={{
        "data-layer": node?.name,
        "data-step": step,
        "data-value": formatExact(look?.value ?? Number.NaN),
      }}
      loud={!pointed}
    >
      <strong>{node ? node.name || "model output" : "Sum of what feeds it"}</strong>
      {parts.map((part) => part && <span class="sep">{part}</span>)}
    </CursorLine>
  );
}

const SHOWN = 3;

function namesOf(verb: string, boxes: readonly Box[]): string {
  const names = boxes.slice(0, SHOWN).map((box) => box.node?.label || "model output");
  const more = boxes.length > SHOWN ? ` and ${formatCount(boxes.length - SHOWN)} more` : "";
  return names.length > 0 ? `${verb} ${names.join(", ")}${more}` : "";
}
