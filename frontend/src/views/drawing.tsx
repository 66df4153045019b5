/** A picture on a canvas: sharp, and drawn anew only when what it shows has changed. */
import type { VNode } from "preact";
import { prepare } from "../base/canvas";
import { useCanvas, useMemo } from "../base/hooks";
import { FONT, type Theme, theme } from "./theme";

export type Draw = (context: CanvasRenderingContext2D, theme: Theme, width: number, height: number) => void;

/** `of`: what `draw` shows. While it is the same, so is the node, which means "unchanged" to Preact. */
export function useDrawing(width: number, height: number, draw: Draw, of: readonly unknown[]): VNode {
  return useMemo(
    () => <Drawing width={width} height={height} draw={draw} theme={theme.value} />,
    [width, height, theme.value, ...of],
  );
}

function Drawing({ width, height, draw, theme }: { width: number; height: number; draw: Draw; theme: Theme }) {
  const canvas = useCanvas((element) => {
    const context = prepare(element, width, height);
    if (!context || width <= 0 || height <= 0) return;
    context.font = `11px ${FONT}`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.imageSmoothingEnabled = false;
    draw(context, theme, width, height);
  });
  return <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} />;
}
