/** The layout off the page's thread: a large one takes a second, and the page goes on meanwhile. */
import { type LayoutRequest, layout } from "./layout";

self.addEventListener("message", ({ data }: MessageEvent<LayoutRequest>) => {
  try {
    self.postMessage({ layout: layout(data) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
});
