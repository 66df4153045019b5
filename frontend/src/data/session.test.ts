import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

/** The host as the tests play it. */
const host = vi.hoisted(() => ({
  visible: (_: boolean) => {},
  fields: {} as Record<string, string>,
}));
vi.mock("./host", () => ({
  readFields: () => host.fields,
  writeFields: () => {},
  addressOf: () => "",
  onHashChange: () => {},
  watchVisible: (callback: (visible: boolean) => void) => {
    host.visible = callback;
  },
}));

/** The server: its runs and their versions; null: it is not there. */
let server: Record<string, string> | null;
let requests: string[];
/** How the next request for a manifest fails: without an answer, or with a proxy's. */
let fault: null | "dropped" | 502 | 503 | 504;

async function answer(input: unknown): Promise<Response> {
  if (server === null) throw new TypeError("no connection");
  const url = new URL(String(input));
  const route = url.pathname.split("/").pop() as string;
  const run = url.searchParams.get("run");
  requests.push(run === null ? route : `${route} ${run}`);
  if (route === "runs") {
    return Response.json({ runs: Object.entries(server).map(([name, version]) => ({ name, version, last_step: 9 })) });
  }
  const failing = fault;
  if (route === "manifest") fault = null;
  if (route === "manifest" && failing === "dropped") throw new TypeError("connection reset");
  if (route === "manifest" && failing !== null)
    return new Response("<h1>Bad gateway</h1>", { status: failing as number });
  const version = run === null ? undefined : server[run];
  if (route !== "manifest" || version === undefined) return Response.json({ error: "no such run" }, { status: 404 });
  return Response.json({ run, version, layers: [{ name: "a" }], steps: { first: 0, last: 9, samples: 10 } });
}

const POLL_MS = 4000;
const polls = (n: number) => vi.advanceTimersByTimeAsync(n * POLL_MS);

async function start(fields: Record<string, string> = {}) {
  host.fields = fields;
  vi.resetModules();
  const view = await import("./view");
  const session = await import("./session");
  const { lost } = await import("./api");
  view.connectAddress();
  session.startSession();
  await vi.advanceTimersByTimeAsync(0);
  return { view, session, lost };
}

beforeEach(() => {
  vi.useFakeTimers();
  server = { a: "1-100", b: "1-200" };
  requests = [];
  fault = null;
  vi.stubGlobal("fetch", answer);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the session", () => {
  it("opens the run written last", async () => {
    const { view, session } = await start();
    expect(view.run.value).toBe("b");
    expect(session.store.value?.manifest.value?.version).toBe("1-200");
  });

  it("asks for what has changed, and for nothing else", async () => {
    const { session } = await start({ run: "a" });
    await polls(1);
    requests = [];
    await polls(2);
    expect(requests).toEqual(["runs", "runs"]);
    server = { a: "2-300", b: "1-200" };
    await polls(1);
    expect(requests).toEqual(["runs", "runs", "runs", "manifest a"]);
    expect(session.store.value?.manifest.value?.version).toBe("2-300");
  });

  it("shows all steps where a link names none that the run has, and compares no run with itself", async () => {
    const { view } = await start({ run: "a", vs: "a", steps: "8000:9000", step: "9000" });
    await polls(1);
    expect([view.range.value, view.step.value, view.versus.value]).toEqual([null, null, null]);
    view.range.value = [3, 700];
    view.step.value = 4;
    await polls(1);
    expect([view.range.value, view.step.value]).toEqual([[3, 700], 4]);
  });

  it("does not poll while it is hidden, and at once when it is back", async () => {
    await start({ run: "a" });
    host.visible(false);
    requests = [];
    await polls(5);
    expect(requests).toEqual([]);
    host.visible(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual(["runs"]);
    await polls(1);
    expect(requests).toEqual(["runs", "runs"]);
  });

  it("says a lost server, keeps what it has, and goes on when the server is back", async () => {
    const { view, session, lost } = await start({ run: "a", step: "5" });
    const before = session.store.value;
    server = null;
    await polls(1);
    expect(lost.value).toBe(true);
    expect(session.problem.value).toBe(null);
    expect(session.store.value?.manifest.value?.version).toBe("1-100");
    server = {}; // started anew, it has not found its runs yet
    await polls(1);
    expect(lost.value).toBe(false);
    expect(session.goneRuns.value).toEqual(["a"]);
    server = { b: "1-200" };
    await polls(1);
    server = { a: "2-300", b: "1-200" };
    await polls(1);
    expect(session.goneRuns.value).toEqual([]);
    expect(session.store.value).toBe(before);
    expect(session.store.value?.manifest.value?.version).toBe("2-300");
    expect(view.step.value).toBe(5);
  });

  it("shows another run for one that is not there, and that one with its step once it is", async () => {
    const { view, session } = await start({ run: "c", step: "7", vs: "b" });
    await polls(1);
    expect(session.unknownRun.value).toBe("c");
    expect([view.run.value, view.step.value]).toEqual(["b", null]);
    expect(session.problem.value).toBe(null);
    server = { ...server, c: "1-50" };
    await polls(1);
    expect(session.unknownRun.value).toBe(null);
    expect([view.run.value, view.step.value, view.versus.value]).toEqual(["c", 7, "b"]);
  });

  it("stays with the run that was chosen meanwhile", async () => {
    const { view } = await start({ run: "c" });
    await polls(1);
    view.chooseRun("a");
    server = { ...server, c: "1-50" };
    await polls(2);
    expect(view.run.value).toBe("a");
  });

  it("goes back to the run before without asking again, unless that has grown", async () => {
    const { view, session } = await start({ run: "a" });
    await polls(1);
    const first = session.store.value;
    view.chooseRun("b");
    await vi.advanceTimersByTimeAsync(0);
    requests = [];
    view.chooseRun("a");
    await vi.advanceTimersByTimeAsync(0);
    expect(session.store.value).toBe(first);
    expect(requests).toEqual([]);
    view.chooseRun("b");
    server = { a: "2-300", b: "1-200" };
    view.chooseRun("a");
    await polls(1);
    expect(requests.filter((r) => r !== "runs")).toEqual(["manifest a"]);
    expect(session.store.value?.manifest.value?.version).toBe("2-300");
  });

  it("drops a comparison with a run that is not there, says so, and takes it up once it is", async () => {
    const { view, session } = await start({ run: "a", vs: "c" });
    await polls(1);
    expect([view.run.value, view.versus.value, session.unknownRun.value]).toEqual(["a", null, null]);
    expect(session.unknownVersus.value?.name).toBe("c");
    server = { ...server, c: "1-50" };
    await polls(1);
    expect([view.versus.value, session.unknownVersus.value]).toEqual(["c", null]);
    expect(session.other.value?.manifest.value?.run).toBe("c");
  });

  it("asks again for what one dropped connection or a proxy without a server cost", async () => {
    for (const how of ["dropped", 502, 503, 504] as const) {
      fault = how;
      const { session, lost } = await start({ run: "a" });
      await polls(1);
      expect([lost.value, session.problem.value]).toEqual([false, null]);
      expect(session.store.value?.manifest.value?.version).toBe("1-100");
    }
  });

  it("asks again for a part of a finished run whose connection was dropped", async () => {
    const { session, lost } = await start({ run: "a" });
    await polls(1);
    const before = session.store.value?.manifest.value;
    const answers = fetch;
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("connection reset")));
    session.store.value?.dead();
    await vi.advanceTimersByTimeAsync(0);
    vi.stubGlobal("fetch", answers);
    expect(lost.value).toBe(true);
    await polls(1);
    expect(lost.value).toBe(false);
    // Who reads the manifest asks again.
    expect(session.store.value?.manifest.value).not.toBe(before);
    session.store.value?.dead();
    expect(requests.filter((r) => r === "dead a")).toHaveLength(1);
  });

  it("waits for the first run", async () => {
    server = {};
    const { view, session } = await start();
    expect(session.runs.value?.runs).toEqual([]);
    expect(view.run.value).toBe(null);
    server = { a: "1-100" };
    await polls(1);
    expect(session.store.value?.manifest.value?.run).toBe("a");
  });
});
