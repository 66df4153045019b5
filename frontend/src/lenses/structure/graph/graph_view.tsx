/** The pane the graph is seen through: wheel, drag, keys. */

import type { Signal } from "@preact/signals";
import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import { type Size, useEffect, useLayoutEffect, useSize } from "../../../base/hooks";
import { clamp } from "../../../base/scales";
import { addressOf } from "../../../data/tree";
import * as view from "../../../data/view";
import { useKeyNotes } from "../../../views/keys";
import type { RowFacts } from "../facts";
import { begin, type Camera, moved, showing, viewBox, zoomed } from "./camera";
import { Drawing, type Look } from "./drawing";
import type { Layout } from "./layout";
import { Minimap } from "./minimap";
import type { Box, Scene } from "./scene";
import { ARROWS, outer, walk } from "./walk";

/** A scene and its layout. */
export interface Shown {
  readonly scene: Scene;
  readonly layout: Layout;
}

export interface GraphViewProps {
  readonly shown: Shown;
  readonly facts: readonly RowFacts[];
  readonly looks: ReadonlyMap<Box, Look>;
  readonly selected: Box | null;
  readonly hits: ReadonlySet<Box> | null;
  /** Key of the box under the pointer. */
  readonly hover: Signal<string | null>;
  readonly camera: Signal<Camera | null>;
  readonly drawing: RefObject<SVGSVGElement | null>;
  readonly label: string;
  readonly notice: string | false;
  readonly onToggle: (box: Box) => void;
}

const ZOOM = 1.25;
const STEP = 64;
/** A press that moves less is a click. */
const SLACK = 4;

export function GraphView(props: GraphViewProps) {
  const { shown, facts, looks, selected, hits, hover, camera, drawing } = props;
  const { scene, layout } = shown;
  const pane = useRef<HTMLDivElement>(null);
  const size = useSize(pane);
  const ready = size.width > 0 && size.height > 0;
  /** A box that was just opened or closed, and where its corner was in the pane. */
  const anchor = useRef<{ readonly key: string; readonly left: number; readonly top: number } | null>(null);
  const press = useRef<{ readonly x: number; readonly y: number; readonly camera: Camera; far: boolean } | null>(null);

  useLayoutEffect(() => {
    if (!ready) return;
    const place = anchor.current && layout.places[anchor.current.key];
    const now = camera.peek();
    if (!now) camera.value = begin(layout, size);
    else if (place && anchor.current) {
      const { left, top } = anchor.current;
      camera.value = { ...now, x: place.x - left / now.scale, y: place.y - top / now.scale };
    }
    anchor.current = null;
  }, [layout, ready]);
  const selectedKey = selected?.key ?? null;
  useLayoutEffect(() => {
    const place = selectedKey === null ? undefined : layout.places[selectedKey];
    const now = camera.peek();
    if (place && now && ready) camera.value = showing(now, place, size);
  }, [selectedKey, layout, ready]);

  const boxAt = ({ target }: Event): Box | undefined => {
    const key = (target as Element).closest("[data-key]")?.getAttribute("data-key");
    return scene.boxes.find((box) => box.key === key);
  };
  const select = (box: Box | null | undefined) => {
    if (box?.node) view.layer.value = addressOf(box.node);
  };
  const toggle = (box: Box | undefined) => {
    if (box?.node?.kind !== "group") return;
    const place = layout.places[box.key];
    const now = camera.peek();
    if (place && now) {
      anchor.current = { key: box.key, left: (place.x - now.x) * now.scale, top: (place.y - now.y) * now.scale };
    }
    props.onToggle(box);
  };
  const change = (next: (now: Camera) => Camera) => {
    const now = camera.peek();
    if (now) camera.value = next(now);
  };

  useKeyNotes("Structure", [
    { keys: ["ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"], text: "Walk along the lines; with Shift, move" },
    { keys: ["Enter"], text: "Open, close a group" },
    { keys: ["Escape"], text: "The group around" },
    { keys: ["+", "-"], text: "Zoom" },
  ]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const boxes = scene.boxes.filter((box) => box.node !== null);
    const middle = [size.width / 2, size.height / 2] as const;
    const arrow = ARROWS[key];
    if (arrow && event.shiftKey) change((now) => moved(now, STEP * arrow[0], STEP * arrow[1]));
    else if (arrow) select(walk(scene, layout, selected, ...arrow));
    else if (key === "Home") select(boxes[0]);
    else if (key === "End") select(boxes.at(-1));
    else if ((key === "Enter" || key === " ") && selected) toggle(selected);
    else if (key === "Escape" && selected && outer(selected)) select(outer(selected));
    else if (key === "+" || key === "=") change((now) => zoomed(now, ZOOM, ...middle));
    else if (key === "-") change((now) => zoomed(now, 1 / ZOOM, ...middle));
    else return;
    event.preventDefault();
    hover.value = null; // the readout says what the keys did
  };

  // Not as an attribute: the wheel must be taken from the page, and only a listener that says so may do that.
  useEffect(() => {
    const element = pane.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const now = camera.peek();
      if (!now) return;
      const lines = event.deltaMode === 1 ? 24 : 1;
      if (event.shiftKey) camera.value = moved(now, (event.deltaX || event.deltaY) * lines, 0);
      else {
        const factor = Math.exp(-clamp(event.deltaY * lines, -240, 240) / 400);
        camera.value = zoomed(now, factor, event.clientX - box.left, event.clientY - box.top);
      }
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, []);

  return (
    <div class="graph" ref={pane}>
      <div
        class="graph-focus"
        role="img"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys walk along the lines
        tabIndex={0}
        data-testid="graph"
        aria-label={props.label}
        aria-describedby="picture-keys"
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          const now = camera.peek();
          if (event.button !== 0 || !now) return;
          press.current = { x: event.clientX, y: event.clientY, camera: now, far: false };
        }}
        onPointerMove={(event) => {
          // Let go outside.
          if (!event.buttons) press.current = null;
          const held = press.current;
          if (!held) {
            hover.value = boxAt(event)?.key ?? null;
            return;
          }
          const [left, top] = [held.x - event.clientX, held.y - event.clientY];
          if (!held.far && Math.hypot(left, top) < SLACK) return;
          if (!held.far) event.currentTarget.setPointerCapture(event.pointerId);
          held.far = true;
          camera.value = moved(held.camera, left, top);
        }}
        onPointerUp={(event) => {
          const held = press.current;
          press.current = null;
          if (!held || held.far) return;
          const box = boxAt(event);
          select(box);
          if ((event.target as Element).closest("[data-fold]")) toggle(box);
        }}
        onPointerCancel={() => {
          press.current = null;
        }}
        onPointerLeave={() => {
          hover.value = null;
        }}
        onDblClick={(event) => toggle(boxAt(event))}
      >
        <View camera={camera} size={size} drawing={drawing}>
          <Drawing scene={scene} layout={layout} facts={facts} looks={looks} selected={selected} hits={hits} />
        </View>
      </div>
      {props.notice && (
        <p class="graph-notice" role="status" data-testid="graph-notice">
          {props.notice}
        </p>
      )}
      <Minimap shown={shown} camera={camera} size={size} />
    </div>
  );
}

interface ViewProps {
  readonly camera: Signal<Camera | null>;
  readonly size: Size;
  readonly drawing: RefObject<SVGSVGElement | null>;
  readonly children: preact.ComponentChildren;
}

/** Alone reads the camera: moving it changes one attribute and draws nothing again. */
function View({ camera, size, drawing, children }: ViewProps) {
  const now = camera.value;
  return (
    <svg
      ref={drawing}
      class="graph-drawing"
      width={size.width}
      height={size.height}
      viewBox={now ? viewBox(now, size) : undefined}
      aria-hidden="true"
    >
      {now && children}
    </svg>
  );
}
