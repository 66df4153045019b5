/** A drawing on the page as a file of its own: every style that counts written into its elements. */
// Those that drawings get from the style sheet; attributes stay.
const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-opacity",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
] as const;

export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** `frame`: the part of the drawing to keep, in its own coordinates; without one, what is seen of it. */
export function svgText(drawing: SVGSVGElement, frame: Frame | null = null): string {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, i) => {
    const original = originals[i];
    if (!original) return;
    const computed = getComputedStyle(original);
    element.removeAttribute("class");
    // Never as an attribute: the security policy of a report allows none.
    (element as SVGElement).style.cssText = STYLES.map((name) => `${name}:${computed.getPropertyValue(name)}`).join(
      ";",
    );
  });
  const { width, height } = frame ?? drawing.getBoundingClientRect();
  if (frame) copy.setAttribute("viewBox", [frame.x, frame.y, width, height].map(Math.round).join(" "));
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(Math.round(width)));
  copy.setAttribute("height", String(Math.round(height)));
  if (!copy.hasAttribute("viewBox")) copy.setAttribute("viewBox", `0 0 ${Math.round(width)} ${Math.round(height)}`);
  return new XMLSerializer().serializeToString(copy);
}
