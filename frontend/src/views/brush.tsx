/**
 * Pointer gestures over a picture whose width is the step axis: hover, click, drag a range, and zoom or pan with the
 * wheel while Ctrl or Shift is held (the bare wheel scrolls the rows).
 */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface BrushProps {
  readonly class: string;
  readonly onHover?: (unit: number, y: number) => void;
  readonly onLeave?: () => void;
  readonly onClick?: (unit: number, y: number) => void;
  readonly onRange: (from: number, to: number) => void;
  readonly onReset: () => void;
  readonly onWheel?: (unit: number, zoom: number, pan: number) => void;
  readonly children: ComponentChildren;
}

/** Shorter drags are clicks. */
const LEAST = 4;

export function Brush(props: BrushProps) {
  const area = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);
  const place = (event: PointerEvent): { x: number; y: number; width: number } => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return {
      x: Math.max(0, Math.min(event.clientX - box.left, box.width - 1e-6)),
      y: event.clientY - box.top,
      width: box.width,
    };
  };
  const wheel = useRef(props.onWheel);
  wheel.current = props.onWheel;
  useEffect(() => {
    const element = area.current;
    if (!element) return;
    const listen = (event: WheelEvent) => {
      if (!wheel.current || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const amount = event.deltaY || event.deltaX;
      const unit = (event.clientX - box.left) / box.width;
      if (event.shiftKey) wheel.current(unit, 1, Math.sign(amount) * 0.1);
      else wheel.current(unit, amount > 0 ? 1.25 : 0.8, 0);
    };
    element.addEventListener("wheel", listen, { passive: false });
    return () => element.removeEventListener("wheel", listen);
  }, []);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: gestures only; the picture inside has the keys
    <div
      ref={area}
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
        else props.onRange(Math.min(x, drag[0]) / width, Math.max(x, drag[0]) / width);
      }}
      onPointerCancel={() => setDrag(null)}
      onPointerLeave={() => props.onLeave?.()}
      onDblClick={props.onReset}
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
