/** The ridges at a scroll position, with what moves over them: pointer, keys, cursor. */
import type { Signal } from "@preact/signals";
import { clamp } from "../../base/scales";
import { EDGES } from "../../data/bins";
import type { Format } from "../../data/formats";
import { KeyPicture } from "../../views/key_picture";
import { useKeyNotes } from "../../views/keys";
import type { RowWindow } from "../../views/row_frame";
import type { Picture, Ridge, Scene } from "./model";
import { HEAD, RidgeDrawing } from "./ridge_drawing";
import type { ValueAxis } from "./value_axis";

/** A bin of a ridge: of a record over steps, of a visible row over depth. */
export interface Cursor {
  readonly place: number;
  readonly order: number;
}

/** What those who follow the cursor share. */
export interface Pointing {
  /** What is drawn now; it moves with the scroll position. */
  readonly scene: () => Scene | null;
  /** Where the pointer is, and where the keys went last. */
  readonly hover: Signal<Cursor | null>;
  readonly cursor: Signal<Cursor | null>;
}

export interface RidgeKeysProps {
  readonly pointing: Pointing;
  readonly left: number;
  readonly label: string;
  readonly attach: (element: HTMLDivElement | null) => void;
  readonly onPin: (place: number) => void;
}

/** What takes the pointer and the keys; the drawing lies over it and lets them through. */
export function RidgeKeys({ pointing, left, label, attach, onPin }: RidgeKeysProps) {
  const { hover, cursor } = pointing;
  const point = (event: MouseEvent): Cursor | null => {
    const scene = pointing.scene();
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const x = event.clientX - box.left - left;
    const ridge = scene?.at(event.clientY - box.top);
    return !scene || !ridge || x < 0 || x > scene.axis.width
      ? null
      : { place: ridge.place, order: scene.axis.orderAt(x) };
  };
  useKeyNotes("Ridges", [
    { keys: ["ArrowLeft", "ArrowRight"], text: "Previous, next bin" },
    { keys: ["ArrowUp", "ArrowDown"], text: "Ridge above, below" },
    { keys: ["Home", "End"], text: "First, last bin" },
    { keys: ["Enter"], text: "Pin the cursor" },
  ]);
  const onKeyDown = (event: KeyboardEvent) => {
    const scene = pointing.scene();
    if (!scene || event.ctrlKey || event.metaKey || event.altKey) return;
    const { axis, ridges } = scene;
    const start = ridges.find((r) => r.pinned) ?? ridges[ridges.length - 1];
    const { place, order } = cursor.value ?? { place: start?.place ?? 0, order: axis.first };
    const at = ridges.findIndex((r) => r.place === place);
    const ridge = (by: number) => ridges[clamp(at + by, 0, ridges.length - 1)]?.place ?? 0;
    const moves: Record<string, Partial<Cursor>> = {
      ArrowRight: { order: stepped(axis, order, 1) },
      ArrowLeft: { order: stepped(axis, order, -1) },
      ArrowDown: { place: ridge(1) },
      ArrowUp: { place: ridge(-1) },
      Home: { order: axis.first },
      End: { order: axis.last },
    };
    const move = moves[event.key];
    if (event.key === "Enter") onPin(place);
    else if (move) {
      hover.value = null;
      cursor.value = { place, order, ...move };
    } else return;
    event.preventDefault();
  };
  return (
    <KeyPicture
      attach={attach}
      class="ridge-keys"
      testid="ridge-picture"
      label={label}
      onKeyDown={onKeyDown}
      onPointerMove={(event) => {
        hover.value = point(event);
      }}
      onPointerLeave={() => {
        hover.value = null;
      }}
      onClick={(event) => {
        const found = point(event);
        cursor.value = found;
        if (found) onPin(found.place);
      }}
    />
  );
}

/** The next bin on an axis that may have no place between zero and its smallest magnitude. */
function stepped({ first, last, smallest }: ValueAxis, order: number, by: number): number {
  const next = order + by;
  const inGap = next !== 0 && Math.abs(next) < smallest;
  return clamp(inGap ? (order === 0 ? by * smallest : 0) : next, first, last);
}

export const ridgeAt = (scene: Scene, cursor: Cursor | null): Ridge | undefined =>
  scene.ridges.find((ridge) => ridge.place === cursor?.place);

export interface RidgesProps {
  readonly picture: Picture;
  readonly frame: Signal<RowWindow | null>;
  readonly pointing: Pointing;
  readonly width: number;
  readonly left: number;
  readonly format: Format | null;
  readonly broken: boolean;
}

/** Alone follows the scroll position. */
export function Ridges({ picture, frame, pointing, ...props }: RidgesProps) {
  const window = frame.value;
  if (!window) return null;
  const scene = picture.scene(window);
  const height = window.height + HEAD;
  return (
    <RidgeDrawing {...props} scene={scene} height={height}>
      <Mark scene={scene} pointing={pointing} height={height} />
    </RidgeDrawing>
  );
}

/** The bin under the cursor, and its ridge; follows the pointer without drawing the ridges anew. */
function Mark({ scene, pointing, height }: { scene: Scene; pointing: Pointing; height: number }) {
  const { axis } = scene;
  const cursor = pointing.hover.value ?? pointing.cursor.value;
  const ridge = ridgeAt(scene, cursor);
  if (!cursor || !ridge) return null;
  const size = Math.abs(cursor.order);
  const ends = [EDGES[size], EDGES[size + 1]].map((edge) => axis.x(Math.sign(cursor.order) * (edge as number)));
  const [from, to] = cursor.order === 0 ? axis.zero : [Math.min(...ends), Math.max(...ends)];
  return (
    <>
      <rect class="ridge-cursor" x={from} width={Math.max(1, to - from)} height={height - HEAD} />
      <path class="ridge-pointed" transform={`translate(0 ${ridge.y})`} d={`${ridge.path}M0 0H${axis.width}`} />
    </>
  );
}
