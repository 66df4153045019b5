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

/** Device pixels in a CSS pixel. */
export function pixelRatio(): number {
  return forced ?? Math.max(1, window.devicePixelRatio || 1);
}

let forced: number | null = null;

/** How each canvas on the page is drawn; `useCanvas` keeps it. */
export const drawings = new Map<HTMLCanvasElement, () => void>();

/** Runs `work` while all canvases are drawn for a display of this ratio; nothing of it reaches the screen. */
export function atRatio<T>(ratio: number, work: () => T): T {
  const drawAll = () => {
    for (const draw of drawings.values()) draw();
  };
  forced = ratio;
  try {
    drawAll();
    return work();
  } finally {
    forced = null;
    drawAll();
  }
}

/** Colours of the patterns. */
export interface Marks {
  readonly hatchInk: string;
  readonly hatchPaper: string;
  readonly checkInk: string;
  readonly checkPaper: string;
}

/** Diagonal stripes: "not finite". */
export function hatch({ hatchInk: ink, hatchPaper: paper }: Marks): CanvasPattern | string {
  return pattern(ink, paper, (t) => {
    t.strokeStyle = ink;
    t.lineWidth = 2;
    t.beginPath();
    for (const shift of [-6, 0, 6]) {
      t.moveTo(shift - 1, 7);
      t.lineTo(shift + 7, -1);
    }
    t.stroke();
  });
}

/** A fine checker: "not measured". */
export function checker({ checkInk: ink, checkPaper: paper }: Marks): CanvasPattern | string {
  return pattern(ink, paper, (t) => {
    t.fillRect(0, 0, 3, 3);
    t.fillRect(3, 3, 3, 3);
  });
}

const patterns = new Map<string, CanvasPattern | string>();

/** Of a tile six pixels square, made once: to make it costs more than the picture it is used in. */
function pattern(ink: string, paper: string, draw: (context: CanvasRenderingContext2D) => void) {
  const key = `${ink} ${paper}`;
  let known = patterns.get(key);
  if (known) return known;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 6;
  const context = canvas.getContext("2d");
  if (context) {
    context.fillStyle = paper;
    context.fillRect(0, 0, 6, 6);
    context.fillStyle = ink;
    draw(context);
  }
  known = context?.createPattern(canvas, "repeat") ?? ink;
  patterns.set(key, known);
  return known;
}

export interface Sheet {
  readonly canvas: HTMLCanvasElement;
  readonly pixels: Uint32Array;
  /** Makes the canvas show the pixels. */
  readonly show: () => void;
}

let sheet: Sheet | null = null;

/**
 * A small image, pixel by pixel, for a larger picture to be stretched from. There is one for all pictures: it is to be
 * drawn before another one asks.
 */
export function sheetOf(width: number, height: number): Sheet | null {
  if (sheet?.canvas.width === width && sheet.canvas.height === height) return sheet;
  const canvas = sheet?.canvas ?? document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return null;
  const image = context.createImageData(width, height);
  sheet = {
    canvas,
    pixels: new Uint32Array(image.data.buffer),
    show: () => context.putImageData(image, 0, 0),
  };
  return sheet;
}

/** Text on a piece of paper, so that lines behind it do not cross it. `side`: of `x`, where it stands. */
export function tag(
  context: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  side: "left" | "right",
  ink: string,
  paper: string,
): void {
  const wide = context.measureText(text).width + 6;
  const left = side === "left" ? x : x - wide;
  context.globalAlpha = 0.8;
  context.fillStyle = paper;
  context.fillRect(left, y - 7, wide, 14);
  context.globalAlpha = 1;
  context.fillStyle = ink;
  context.textAlign = "left";
  context.fillText(text, left + 3, y);
}

/** A line through `(x(i), y(i))` for i in `from … to - 1`, interrupted where y is not finite. */
export function polyline(
  context: CanvasRenderingContext2D,
  from: number,
  to: number,
  x: (i: number) => number,
  y: (i: number) => number,
): void {
  context.beginPath();
  let pen = false;
  for (let i = from; i < to; i++) {
    const at = y(i);
    const next = at - at === 0;
    if (next && pen) context.lineTo(x(i), at);
    else if (next) context.moveTo(x(i), at);
    pen = next;
  }
  context.stroke();
}
