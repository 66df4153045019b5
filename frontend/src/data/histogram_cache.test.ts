import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fetchContainer } from "./api";
import { HistogramCache } from "./histogram_cache";
import { container } from "./testing";

vi.mock("./api", () => ({ fetchContainer: vi.fn() }));

const asked = vi.mocked(fetchContainer);
let version = "1";
let failures: unknown[] = [];

/** As many records as asked for, of five. */
function answer(query: Readonly<Record<string, string | number>>) {
  const count = query.most === undefined ? 5 : 3;
  const none = { bins: [new Uint16Array(0), 0], counts: [new Uint32Array(0), 0] } as const;
  const steps = Float64Array.from({ length: count }, (_, i) => i);
  return container({ steps: [steps, count], starts: [new Uint32Array(count + 1), count + 1], ...none }, query);
}

function cache(): HistogramCache {
  return new HistogramCache(
    "run",
    () => version,
    async (work) => {
      await work().catch((error: unknown) => failures.push(error));
    },
  );
}

const settled = () => new Promise((done) => setTimeout(done));
const queries = () => asked.mock.calls.map(([, query]) => query);

describe("HistogramCache", () => {
  beforeEach(() => {
    version = "1";
    failures = [];
    asked.mockImplementation(async (_, query) => answer(query));
  });
  afterEach(() => asked.mockReset());

  it("shows some records first, then all; of a kind that was read, all at once", async () => {
    const histograms = cache();
    const seen: number[] = [];
    histograms.ofRow("weight", "a").subscribe((found) => seen.push(found?.steps.length ?? 0));
    await settled();
    expect(seen).toEqual([0, 3, 5]);
    histograms.ofRow("weight", "b");
    histograms.ofRow("weight", "a");
    await settled();
    expect(queries()).toEqual([
      { run: "run", kind: "weight", row: "a", most: 64 },
      { run: "run", kind: "weight", row: "a" },
      { run: "run", kind: "weight", row: "b" },
    ]);
  });

  it("asks anew when the run has changed, and shows the old until then", async () => {
    const histograms = cache();
    histograms.atStep("gradient", null);
    await settled();
    version = "2";
    const shown = histograms.atStep("gradient", null);
    expect(shown.value?.steps.length).toBe(5);
    await settled();
    expect(queries()).toEqual([
      { run: "run", kind: "gradient" },
      { run: "run", kind: "gradient" },
    ]);
  });

  it("does not let a late answer replace a newer one", async () => {
    const histograms = cache();
    let arrive = () => {};
    const late = new Promise<void>((done) => {
      arrive = done;
    });
    asked.mockImplementationOnce(async (_, query) => {
      await late;
      return answer({ ...query, most: 3 });
    });
    histograms.atStep("gradient", 7);
    version = "2";
    const shown = histograms.atStep("gradient", 7);
    await settled();
    arrive();
    await settled();
    expect(shown.value?.steps.length).toBe(5);
  });

  it("asks again for what failed when it is told to", async () => {
    const histograms = cache();
    asked.mockRejectedValueOnce(new Error("gone"));
    expect(histograms.atStep("gradient", 3).value).toBeNull();
    await settled();
    expect(failures).toHaveLength(1);
    histograms.atStep("gradient", 3);
    expect(asked).toHaveBeenCalledTimes(1);
    histograms.retry();
    histograms.atStep("gradient", 3);
    await settled();
    expect(histograms.atStep("gradient", 3).value?.steps.length).toBe(5);
  });

  it("asks again for the rest when only some came", async () => {
    const histograms = cache();
    asked.mockImplementationOnce(async (_, query) => answer(query)).mockRejectedValueOnce(new Error("gone"));
    const shown = histograms.ofRow("weight", "a");
    await settled();
    expect(shown.value?.steps.length).toBe(3);
    histograms.retry();
    histograms.ofRow("weight", "a");
    await settled();
    expect(shown.value?.steps.length).toBe(5);
  });

  it("keeps what was looked at last", async () => {
    const histograms = cache();
    for (let step = 0; step < 40; step++) histograms.atStep("gradient", step);
    await settled();
    asked.mockClear();
    histograms.atStep("gradient", 39);
    expect(asked).not.toHaveBeenCalled();
    histograms.atStep("gradient", 0);
    expect(asked).toHaveBeenCalledTimes(1);
  });
});
