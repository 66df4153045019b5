import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Layout, LayoutRequest } from "./layout";

/** Answers when told to. */
class FakeWorker {
  static made: FakeWorker[] = [];
  static broken = false;
  readonly asked: LayoutRequest[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor(
    readonly url: URL,
    readonly options: WorkerOptions,
  ) {
    if (FakeWorker.broken) throw new Error("SecurityError");
    FakeWorker.made.push(this);
  }

  postMessage(request: LayoutRequest): void {
    this.asked.push(request);
  }

  answer(data: { layout: Layout } | { error: string }): void {
    this.onmessage?.({ data });
  }
}

const request = (key: string): LayoutRequest => ({ root: { key, width: 1, height: 1 }, flows: [] });
const layout = (width: number): Layout => ({ places: {}, routes: [], width, height: 1 });

let client: typeof import("./layout_client");

beforeEach(async () => {
  FakeWorker.made = [];
  FakeWorker.broken = false;
  vi.stubGlobal("Worker", FakeWorker);
  vi.resetModules();
  client = await import("./layout_client");
});
afterEach(() => vi.unstubAllGlobals());

describe("layoutOf", () => {
  it("asks once, and keeps what it got", () => {
    expect(client.layoutOf(request("a"))).toBeNull();
    expect(client.layoutOf(request("a"))).toBeNull();
    const [worker] = FakeWorker.made as [FakeWorker];
    expect(worker.asked).toHaveLength(1);
    expect(worker.options.type).toBe("module");
    worker.answer({ layout: layout(7) });
    expect(client.layoutOf(request("a"))).toMatchObject({ width: 7 });
    expect(worker.asked).toHaveLength(1);
  });

  it("passes over what was wanted in the meantime and is no more", () => {
    for (const key of ["a", "b", "c"]) client.layoutOf(request(key));
    const [worker] = FakeWorker.made as [FakeWorker];
    worker.answer({ layout: layout(1) });
    expect(worker.asked.map((m) => m.root.key)).toEqual(["a", "c"]);
    worker.answer({ layout: layout(3) });
    expect(client.layoutOf(request("c"))).toMatchObject({ width: 3 });
    expect(FakeWorker.made).toHaveLength(1);
  });

  it.each(["at once", "later"])("says in a sentence that no worker may be started (%s)", (when) => {
    FakeWorker.broken = when === "at once";
    client.layoutOf(request("a"));
    if (when === "later") FakeWorker.made[0]?.onerror?.();
    for (const key of ["a", "b"]) expect(client.layoutOf(request(key))).toMatch(/^The graph needs a web worker/);
  });

  it("says what the worker failed at, asks once for it, and lays out what comes after", () => {
    client.layoutOf(request("a"));
    const [worker] = FakeWorker.made as [FakeWorker];
    worker.answer({ error: "no rank" });
    expect(client.layoutOf(request("a"))).toContain("no rank");
    expect(worker.asked).toHaveLength(1);
    expect(client.layoutOf(request("b"))).toBeNull();
    worker.answer({ layout: layout(5) });
    expect(client.layoutOf(request("b"))).toMatchObject({ width: 5 });
  });
});
