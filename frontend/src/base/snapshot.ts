/**
 * What an element shows, as a picture: the element with its styles inside an SVG, canvases as images of themselves,
 * drawn onto a canvas. So an export is what is seen, whatever a lens is made of, and no lens draws twice.
 */
import { atRatio } from "./canvas";

const SCALE = 2;

/** PNG of an element at twice its size. Rejects where the browser cannot draw it. */
export async function snapshot(element: HTMLElement): Promise<Blob> {
  const { width, height } = element.getBoundingClientRect();
  // Text is drawn by the browser at any size; canvases have to draw themselves anew to be as sharp.
  const picture = await imageOf(atRatio(SCALE, () => asSvg(element, width, height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * SCALE);
  canvas.height = Math.round(height * SCALE);
  const context = canvas.getContext("2d");
  context?.scale(SCALE, SCALE);
  context?.drawImage(picture, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is empty"))), "image/png");
  });
}

/** As large as the window, so that media queries answer as they do on the page; the element at its corner. */
function asSvg(element: HTMLElement, width: number, height: number): string {
  const copy = element.cloneNode(true) as HTMLElement;
  freeze(element, copy, stuckBy(element));
  // A body: what the style sheet says of that one holds inside the picture too.
  const body = document.createElement("body");
  const style = document.createElement("style");
  style.textContent = sheets();
  // Through `style`, never as attributes: the security policy of a report allows no others.
  body.style.cssText = `width:${width}px;height:${height}px;display:flex`;
  body.append(style, copy);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const holder = document.createElementNS(svg.namespaceURI, "foreignObject");
  for (const target of [svg, holder]) {
    target.setAttribute("width", String(window.innerWidth));
    target.setAttribute("height", String(window.innerHeight));
  }
  // The custom properties of the theme.
  svg.style.cssText = document.documentElement.style.cssText;
  holder.append(body);
  svg.append(holder);
  return new XMLSerializer().serializeToString(svg);
}

type Shift = readonly [x: number, y: number];

/** How far each sticky element is held from its place in the flow; none is inside another. */
function stuckBy(element: HTMLElement): ReadonlyMap<Element, Shift> {
  const sticky = [...element.querySelectorAll<HTMLElement>("*")].filter(
    (e) => getComputedStyle(e).position === "sticky",
  );
  const shown = sticky.map((e) => e.getBoundingClientRect());
  for (const e of sticky) e.style.position = "static";
  const shifts = sticky.map((e, i): [Element, Shift] => {
    const [held, flowing] = [shown[i] as DOMRect, e.getBoundingClientRect()];
    return [e, [held.left - flowing.left, held.top - flowing.top]];
  });
  for (const e of sticky) e.style.position = "";
  return new Map(shifts);
}

/** What a clone loses: the pixels of canvases, what was typed or chosen, how far things are scrolled. */
function freeze(original: Element, copy: Element, stuck: ReadonlyMap<Element, Shift>): void {
  if (original instanceof HTMLCanvasElement) {
    const image = document.createElement("img");
    image.style.cssText = original.style.cssText;
    image.className = original.className;
    if (original.width > 0 && original.height > 0) image.src = original.toDataURL();
    copy.replaceWith(image);
    return;
  }
  if (original instanceof HTMLInputElement) copy.setAttribute("value", original.value);
  if (original instanceof HTMLSelectElement) {
    copy.querySelectorAll("option")[original.selectedIndex]?.setAttribute("selected", "");
  }
  const children = [...copy.children];
  [...original.children].forEach((child, i) => {
    const twin = children[i];
    if (twin) freeze(child, twin, stuck);
  });
  if (!(original instanceof HTMLElement && copy instanceof HTMLElement)) return;
  const shift = stuck.get(original);
  if (shift) Object.assign(copy.style, { position: "relative", left: `${shift[0]}px`, top: `${shift[1]}px` });
  if (["auto", "scroll"].includes(getComputedStyle(original).overflowY)) {
    // A scroll bar would stand at the top; its room stays.
    copy.style.overflow = "hidden";
    if (original.offsetWidth > original.clientWidth) copy.style.scrollbarGutter = "stable";
  }
  const { scrollLeft, scrollTop } = original;
  if (scrollLeft === 0 && scrollTop === 0) return;
  for (const child of copy.children) {
    if (child instanceof HTMLElement) child.style.translate = `${-scrollLeft}px ${-scrollTop}px`;
  }
}

function sheets(): string {
  return [...document.styleSheets, ...document.adoptedStyleSheets].flatMap(rulesOf).join("\n");
}

function rulesOf(sheet: CSSStyleSheet): string[] {
  try {
    return [...sheet.cssRules].map((rule) => rule.cssText);
  } catch {
    return []; // a browser extension's
  }
}

function imageOf(svg: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("this browser cannot draw the page into a picture"));
    // A data address: pictures from a blob's would taint the canvas in some browsers.
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  });
}
