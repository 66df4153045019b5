/** Asks the worker for layouts, the newest wanted first, and keeps those it gave. */
import { signal } from "@preact/signals";
import type { Layout, LayoutRequest } from "./layout";

const KEPT = 24;
const NO_WORKER = "The graph needs a web worker, which this page may not start here; open it in TensorBoard";
/** By request its layout, or in a sentence why it has none. */
const known = new Map<string, Layout | string>();

let worker: Worker | null = null;
let broken = false;
let busy: string | null = null;
let next: { readonly key: string; readonly request: LayoutRequest } | null = null;
/** Counts answers that came. */
const arrived = signal(0);

/** The layout, or why there is none, or null until it is here; read in a component it draws again then. */
export function layoutOf(request: LayoutRequest): Layout | string | null {
  void arrived.value;
  const key = JSON.stringify(request);
  const here = known.get(key);
  if (here) return here;
  if (busy !== key) {
    next = { key, request };
    send();
  }
  return broken ? NO_WORKER : null;
}

function send(): void {
  if (!next || busy !== null) return;
  const target = start();
  if (!target) return;
  busy = next.key;
  target.postMessage(next.request);
  next = null;
}

function start(): Worker | null {
  if (worker || broken) return worker;
  try {
    worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  } catch {
    broken = true;
    return null;
  }
  worker.onerror = () => {
    broken = true;
    arrived.value++;
  };
  worker.onmessage = ({ data }: MessageEvent<{ layout?: Layout; error?: string }>) => {
    known.set(busy as string, data.layout ?? `The graph could not be laid out: ${data.error}`);
    for (const old of [...known.keys()].slice(0, -KEPT)) known.delete(old);
    busy = null;
    arrived.value++;
    send();
  };
  return worker;
}
