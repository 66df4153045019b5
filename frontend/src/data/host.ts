/**
 * All we know of the page around us. TensorBoard shows the plugin in an iframe of the same origin; notebooks and
 * proxies may not, so every look at the parent may fail, and then the page stands alone.
 */
import { type Fields, readHash, writeHash } from "./url_state";

function outer(): Window | null {
  try {
    // Touching the document proves that the parent is ours to read.
    return window.parent !== window && window.parent.document.body ? window.parent : null;
  } catch {
    return null;
  }
}

export function readFields(): Fields {
  return readHash((outer() ?? window).location.hash);
}

/** Another lens or run is a place to come back from with the back button; all else replaces the entry. */
export function writeFields(fields: Fields): void {
  try {
    const target = outer() ?? window;
    const address = addressWith(target, fields);
    if (address === target.location.href) return;
    const { lens, run } = readHash(target.location.hash);
    const elsewhere = lens !== fields.lens || (run !== undefined && run !== fields.run);
    // Not location.hash, on which TensorBoard routes.
    if (elsewhere) target.history.pushState(target.history.state, "", address);
    else target.history.replaceState(target.history.state, "", address);
  } catch {
    // A sandboxed frame may not write history; the view still works, it is just not in the address.
  }
}

/** The address to hand on: it opens what is seen now, also where it may not be written. */
export function addressOf(fields: Fields): string {
  return addressWith(outer() ?? window, fields);
}

/** In full, because a bare "#…" would resolve against the <base> of the plugin page. */
function addressWith(target: Window, fields: Fields): string {
  const { href, hash } = target.location;
  return href.slice(0, href.length - hash.length).replace(/#$/, "") + writeHash(hash, fields);
}

/** Calls back when someone else changes the address (the back button, a pasted link). */
export function onHashChange(callback: () => void): void {
  (outer() ?? window).addEventListener("hashchange", callback);
}

/** Whether the host is dark, now and whenever it changes. */
export function watchDarkMode(callback: (dark: boolean) => void): void {
  const query = window.matchMedia("(prefers-color-scheme: dark)");
  const body = outer()?.document.body;
  // TensorBoard has a switch of its own and marks its body; without a readable host the system decides.
  const dark = () => (body ? body.classList.contains("dark-mode") : query.matches);
  callback(dark());
  if (body) {
    new MutationObserver(() => callback(dark())).observe(body, { attributes: true, attributeFilter: ["class"] });
  } else {
    query.addEventListener("change", () => callback(dark()));
  }
}

/** TensorBoard leaves the frame of another tab no height, but its visibility state: watch both. */
export function watchVisible(callback: (visible: boolean) => void): void {
  const tell = () => callback(window.innerHeight > 0 && document.visibilityState === "visible");
  document.addEventListener("visibilitychange", tell);
  window.addEventListener("resize", tell);
}

/**
 * Keys pressed while the focus is still on TensorBoard's own page, whose tab was just clicked, count as pressed here
 * as long as this page is on screen.
 */
export function forwardKeys(): void {
  outer()?.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    // The event's target would be the outermost of TensorBoard's custom elements.
    const typing = (event.composedPath()[0] as Element | undefined)?.closest?.(
      "input, textarea, select, [contenteditable]",
    );
    if (event.defaultPrevented || typing || window.innerHeight === 0) return;
    const copy = new KeyboardEvent("keydown", { key, ctrlKey, metaKey, altKey, shiftKey, cancelable: true });
    if (!window.dispatchEvent(copy)) event.preventDefault();
  });
}
