/**
 * Pointer gestures over a picture whose width is the step axis: hover, click, drag a range, and zoom or pan with the
 * wheel while Ctrl or Shift is held (the bare wheel scrolls the rows).
 */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { StepAxis } from "../base/step_axis";
import * as view from "../data/view";
import { useKeyNotes } from "./keys";

export interface BrushProps {
  readonly class: string;
  readonly axis: StepAxis;
  readonly onHover?: (unit: number, y: number) => void;
  readonly onLeave?: () => void;
  readonly onClick?: (unit: number, y: number) => void;
  readonly onWheel?: (unit: number, zoom: number, pan: number) => void;
  readonly children: ComponentChildren;
}

/** Shorter drags are clicks. */
const LEAST = 4;

export function Brush(props: BrushProps) {
  useKeyNotes("Pointer", [
    ...(props.onClick ? [{ keys: ["Click"], text: "Pin the cursor" }] : []),
    { keys: ["Drag"], text: "Zoom to a range of steps" },
    { keys: ["Double click"], text: "Show all steps" },
    ...(props.onWheel
      ? [
          { keys: ["Ctrl", "Wheel"], text: "Zoom the steps" },
          { keys: ["Shift", "Wheel"], text: "Move along the steps" },
        ]
      : []),
  ]);
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);
  const place = (event: MouseEvent): { x: number; y: number; width: number } => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return {
      x: Math.max(0, Math.min(event.clientX - box.left, box.width - 1e-6)),
      y: event.clientY - box.top,
      width: box.width,
    };
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: gestures only; the picture inside has the keys
    <div
      class={`brush ${props.class}`}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        try {
          event.currentTarget.setPointerCapture(event.pointerId);
        } catch {
          // a pointer that is already gone cannot be captured; the drag then ends at the edge
        }
        const { x } = place(event);
        setDrag([x, x]);
      }}
      onPointerMove={(event) => {
        const { x, y, width } = place(event);
        if (drag) setDrag([drag[0], x]);
        props.onHover?.(x / width, y);
      }}
      onPointerUp={(event) => {
        if (!drag) return;
        const { x, y, width } = place(event);
        setDrag(null);
        if (Math.abs(x - drag[0]) < LEAST) props.onClick?.(x / width, y);
        else setRange(props.axis, Math.min(x, drag[0]) / width, Math.max(x, drag[0]) / width);
      }}
      onPointerCancel={() => setDrag(null)}
      onPointerLeave={() => props.onLeave?.()}
      onWheel={(event) => {
        if (!props.onWheel || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
        event.preventDefault();
        const { x, width } = place(event);
        const amount = event.deltaY || event.deltaX;
        if (event.shiftKey) props.onWheel(x / width, 1, Math.sign(amount) * 0.1);
        else props.onWheel(x / width, amount > 0 ? 1.25 : 0.8, 0);
      }}
      onDblClick={() => {
        view.range.value = null;
      }}
    >
      {props.children}
      {drag && Math.abs(drag[1] - drag[0]) >= LEAST && (
        <div
          class="brush-range"
          style={{ left: `${Math.min(...drag)}px`, width: `${Math.abs(drag[1] - drag[0])}px` }}
        />
      )}
    </div>
  );
}

function setRange(axis: StepAxis, from: number, to: number): void {
  const left = Math.floor(axis.step(Math.max(0, from)));
  const right = Math.ceil(axis.step(Math.min(1, to)));
  if (right > left) view.range.value = [left, Math.max(right, left + 2)];
}
