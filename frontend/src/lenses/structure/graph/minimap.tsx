/** The whole graph, small, with what is seen of it; a press moves there. */
import type { Signal } from "@preact/signals";
import type { Size } from "../../../base/hooks";
import { useMemo } from "../../../base/hooks";
import type { Camera } from "./camera";
import type { Shown } from "./graph_view";

const [WIDTH, HEIGHT] = [144, 144];

export function Minimap({ shown, camera, size }: { shown: Shown; camera: Signal<Camera | null>; size: Size }) {
  const { scene, layout } = shown;
  const scale = Math.min(WIDTH / layout.width, HEIGHT / layout.height);
  const boxes = useMemo(
    () => scene.boxes.map((box) => <rect key={box.key} class={box.open ? "open" : ""} {...layout.places[box.key]} />),
    [scene, layout],
  );
  const now = camera.value;
  if (!now) return null;
  const [width, height] = [size.width / now.scale, size.height / now.scale];
  const all = now.x <= 0 && now.y <= 0 && now.x + width >= layout.width && now.y + height >= layout.height;
  if (all) return null;
  const go = (event: PointerEvent & { currentTarget: Element }) => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
    camera.value = { ...now, x: x - width / 2, y: y - height / 2 };
  };
  return (
    <svg
      class="minimap"
      width={Math.ceil(layout.width * scale)}
      height={Math.ceil(layout.height * scale)}
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      aria-hidden="true"
      onPointerDown={go}
      onPointerMove={go}
    >
      {boxes}
      <rect class="seen" x={now.x} y={now.y} width={width} height={height} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
