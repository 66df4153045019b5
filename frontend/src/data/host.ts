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

export function writeFields(fields: Fields): void {
  try {
    const target = outer() ?? window;
    const hash = writeHash(target.location.hash, fields);
    if (hash === target.location.hash) return;
    // replaceState, not location.hash: no history entry per click, and TensorBoard does not route on it. The full
    // address, because a bare "#…" would resolve against the <base> of the plugin page.
    const { origin, pathname, search } = target.location;
    target.history.replaceState(target.history.state, "", origin + pathname + search + hash);
  } catch {
    // A sandboxed frame may not write history; the view still works, it is just not in the address.
  }
}

/** Calls back when someone else changes the address (the back button, a pasted link). */
export function onHashChange(callback: () => void): void {
  try {
    (outer() ?? window).addEventListener("hashchange", callback);
  } catch {
    // As above.
  }
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

/** TensorBoard hides the frame of another tab by its size, not its visibility state: watch both. */
export function watchVisible(callback: (visible: boolean) => void): void {
  let onScreen = true;
  const tell = () => callback(onScreen && document.visibilityState === "visible");
  document.addEventListener("visibilitychange", tell);
  if (typeof IntersectionObserver !== "undefined") {
    new IntersectionObserver((entries) => {
      onScreen = entries.some((e) => e.isIntersecting);
      tell();
    }).observe(document.body);
  }
}

/** The host's reload button. TensorBoard tells over a message port, as JSON; other hosts say nothing. */
export function onReload(callback: () => void): void {
  const host = outer();
  if (!host) return;
  try {
    const channel = new MessageChannel();
    channel.port1.onmessage = (event: MessageEvent) => {
      if (typeof event.data === "string" && event.data.includes("experimental.DataReloaded")) callback();
    };
    host.postMessage("experimental.bootstrap", "*", [channel.port2]);
  } catch {
    // Polling finds the new data a few seconds later.
  }
}
