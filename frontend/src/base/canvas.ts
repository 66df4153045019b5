/** Canvas plumbing: sharp on any display, and the patterns that mark what no colour can. */

/** Sizes the backing store to device pixels and returns a context in CSS pixels, cleared. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = pixelRatio();
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext("2d");
  if (!context) return null;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

export function pixelRatio(): number {
  return Math.max(1, window.devicePixelRatio || 1);
}

/** Diagonal stripes: "not finite". */
export function hatch(context: CanvasRenderingContext2D, ink: string, paper: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const t = tile.getContext("2d");
  if (!t) return ink;
  t.fillStyle = paper;
  t.fillRect(0, 0, 6, 6);
  t.strokeStyle = ink;
  t.lineWidth = 2;
  t.beginPath();
  for (const shift of [-6, 0, 6]) {
    t.moveTo(shift - 1, 7);
    t.lineTo(shift + 7, -1);
  }
  t.stroke();
  return context.createPattern(tile, "repeat") ?? ink;
}

/** A fine checker: "not measured". */
export function checker(context: CanvasRenderingContext2D, ink: string, paper: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const t = tile.getContext("2d");
  if (!t) return paper;
  t.fillStyle = paper;
  t.fillRect(0, 0, 6, 6);
  t.fillStyle = ink;
  t.fillRect(0, 0, 3, 3);
  t.fillRect(3, 3, 3, 3);
  return context.createPattern(tile, "repeat") ?? paper;
}

/** Text cut to a width, with an ellipsis. */
export function fitText(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
