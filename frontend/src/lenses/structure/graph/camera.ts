/** Which part of the drawing is seen, and how large. */
import type { Size } from "../../../base/hooks";
import { clamp } from "../../../base/scales";
import type { Layout, Place } from "./layout";

export interface Camera {
  /** Of the drawing, at the upper left corner of the pane. */
  readonly x: number;
  readonly y: number;
  /** Pixels for a unit of the drawing. */
  readonly scale: number;
}

const MARGIN = 24;
const limited = (scale: number): number => clamp(scale, 0.05, 2.5);
/** Below this names cannot be read. */
const READABLE = 0.7;

/** All of it, in the middle. */
export function whole(layout: Layout, size: Size): Camera {
  const scale = Math.min(1, (size.width - 2 * MARGIN) / layout.width, (size.height - 2 * MARGIN) / layout.height);
  return centred(layout, size, limited(scale));
}

/** As wide as the pane, if names can be read then, from the top. */
export function begin(layout: Layout, size: Size): Camera {
  const scale = Math.max(READABLE, Math.min(1, (size.width - 2 * MARGIN) / layout.width));
  const camera = centred(layout, size, scale);
  return { ...camera, y: camera.y > 0 ? -MARGIN / scale : camera.y };
}

function centred(layout: Layout, size: Size, scale: number): Camera {
  return { x: (layout.width - size.width / scale) / 2, y: (layout.height - size.height / scale) / 2, scale };
}

/** About a point of the pane, which stays where it is. */
export function zoomed(camera: Camera, factor: number, left: number, top: number): Camera {
  const scale = limited(camera.scale * factor);
  return {
    x: camera.x + left / camera.scale - left / scale,
    y: camera.y + top / camera.scale - top / scale,
    scale,
  };
}

export function moved(camera: Camera, left: number, top: number): Camera {
  return { ...camera, x: camera.x + left / camera.scale, y: camera.y + top / camera.scale };
}

/** Of a tall container its head is enough. */
const HEAD = 64;

/** Moved as little as needed to show a place; what is larger than the pane by its beginning. */
export function showing(camera: Camera, place: Place, size: Size): Camera {
  const margin = MARGIN / camera.scale;
  const along = (at: number, start: number, length: number, needed: number, room: number) => {
    const seen = room / camera.scale;
    if (start >= at && start + needed <= at + seen) return at;
    return start < at || length + 2 * margin > seen ? start - margin : start + length + margin - seen;
  };
  return {
    ...camera,
    x: along(camera.x, place.x, place.width, place.width, size.width),
    y: along(camera.y, place.y, place.height, Math.min(place.height, HEAD), size.height),
  };
}

export function viewBox(camera: Camera, size: Size): string {
  const { x, y, scale } = camera;
  return [x, y, size.width / scale, size.height / scale].map((n) => n.toFixed(2)).join(" ");
}
