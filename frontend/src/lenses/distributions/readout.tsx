/** What lies under the cursor, as text; read out loud when keys move it. */
import { formatCount } from "../../base/format";
import type { Format } from "../../data/formats";
import { CursorLine } from "../../views/status_line";
import { type Pointing, ridgeAt } from "./picture";
import { readoutOf } from "./words";

export interface ReadoutProps {
  readonly pointing: Pointing;
  readonly format: Format | null;
  /** Row and step of a ridge. */
  readonly nameAt: (place: number) => readonly [string, number];
}

export function Readout({ pointing, format, nameAt }: ReadoutProps) {
  const scene = pointing.scene();
  const cursor = pointing.hover.value ?? pointing.cursor.value;
  const pointed = scene && ridgeAt(scene, cursor);
  const ridge = pointed ?? scene?.ridges.find((r) => r.pinned);
  if (!ridge) return <CursorLine />;
  const order = (pointed && cursor?.order) ?? null;
  const [name, step] = nameAt(ridge.place);
  return (
    <CursorLine
      data={{ "data-layer": name, "data-step": step, "data-order": order ?? "" }}
      loud={!pointing.hover.value}
    >
      <strong>{name}</strong>
      {[`step ${formatCount(step)}`, ...readoutOf(ridge.histogram, order, format)].map((part) => (
        <span key={part} class="sep">
          {part}
        </span>
      ))}
    </CursorLine>
  );
}
