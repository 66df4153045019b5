import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Manifest } from "./manifest";
import { NONFINITE } from "./series";
import { PAUSE_MS, StatisticCache } from "./statistic_cache";
import { container } from "./testing";

const { fetchContainer } = vi.hoisted(() => ({ fetchContainer: vi.fn() }));
vi.mock("./api", () => ({ fetchContainer }));

/** A server with one row whose value is its step. */
let steps: number[];
let broken: Set<number>;
let manifest: Manifest;
const asked: string[] = [];

function grow(...more: number[]): void {
  steps.push(...more);
  manifest = { ...manifest, samples: steps.length };
}

afterEach(() => {
  vi.useRealTimers();
});

beforeEach(() => {
  vi.useFakeTimers();
  steps = [];
  broken = new Set();
  asked.length = 0;
  manifest = {
    ...({} as Manifest),
    layers: [],
    parameters: [],
    statistics: ["gradient/rms", "gradient/nonfinite_fraction"],
  };
  grow(0, 10, 20);
  fetchContainer.mockImplementation(async (_: string, query: { name: string; since?: number }) => {
    asked.push(`${query.name}${query.since === undefined ? "" : ` since ${query.since}`}`);
    const sent = steps.filter((s) => query.since === undefined || s > query.since);
    const values = sent.map((s) => (query.name === "gradient/rms" ? s + 1 : broken.has(s) ? 0.5 : 0));
    return container({
      steps: [Float64Array.from(sent), sent.length],
      values: [Float32Array.from(values), sent.length, 1],
    });
  });
});

const cacheOf = () =>
  new StatisticCache(
    "r",
    () => manifest,
    Promise.resolve(),
    (work) => work(),
  );
const settle = () => vi.advanceTimersByTimeAsync(3 * PAUSE_MS);

describe("StatisticCache", () => {
  it("asks once, and only for new steps when the run has grown", async () => {
    const cache = cacheOf();
    cache.of("gradient/rms");
    const shown = cache.of("gradient/rms");
    await settle();
    expect(asked).toEqual(["gradient/rms", "gradient/nonfinite_fraction"]);
    grow(30, 40);
    await cache.renew(false);
    expect(asked.slice(2)).toEqual(["gradient/rms since 20", "gradient/nonfinite_fraction since 20"]);
    expect(shown.value?.series.count).toBe(5);
    expect([...(shown.value?.series.values.subarray(0, 5) ?? [])]).toEqual([1, 11, 21, 31, 41]);
  });

  it("keeps the marks of what was not finite when the run grows", async () => {
    broken.add(10);
    const cache = cacheOf();
    const shown = cache.of("gradient/rms");
    await settle();
    grow(30);
    broken.add(30);
    await cache.renew(false);
    expect([...(shown.value?.series.state.subarray(0, 4) ?? [])].map((s) => s === NONFINITE)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(shown.value?.domain.hasNonFinite).toBe(true);
  });

  it("starts again when steps were rewritten", async () => {
    const cache = cacheOf();
    const shown = cache.of("gradient/rms");
    await settle();
    steps = [];
    grow(0, 5);
    await cache.renew(true);
    expect([...(shown.value?.series.steps.subarray(0, 2) ?? [])]).toEqual([0, 5]);
    expect(shown.value?.series.count).toBe(2);
  });

  it("does not trust a tail that does not add up", async () => {
    const cache = cacheOf();
    const shown = cache.of("gradient/rms");
    await settle();
    steps = [0, 15, 25, 35]; // one dropped, and others in its place
    manifest = { ...manifest, samples: 4 };
    await cache.renew(false);
    expect([...(shown.value?.series.steps.subarray(0, 4) ?? [])]).toEqual([0, 15, 25, 35]);
  });

  it("shows what was fetched for its marks when it is asked for itself", async () => {
    const cache = cacheOf();
    cache.of("gradient/rms");
    await settle();
    const marks = cache.of("gradient/nonfinite_fraction");
    await settle();
    expect(marks.value?.series.count).toBe(3);
    expect(asked).toEqual(["gradient/rms", "gradient/nonfinite_fraction"]);
  });

  it("brings all that is shown up to date", async () => {
    manifest = { ...manifest, statistics: ["gradient/rms", "activation/rms"] };
    const cache = cacheOf();
    cache.of("activation/rms");
    cache.of("gradient/rms");
    await settle();
    asked.length = 0;
    grow(30);
    await cache.renew(false);
    expect([...asked].sort()).toEqual(["activation/rms since 20", "gradient/rms since 20"]);
  });

  it("leaves what is off screen alone until it is asked for", async () => {
    const cache = cacheOf();
    cache.of("gradient/rms");
    await settle();
    grow(30);
    await cache.renew(false);
    // From now on only this one is shown.
    cache.of("gradient/nonfinite_fraction");
    await settle();
    asked.length = 0;
    grow(40);
    await cache.renew(false);
    expect(asked).toEqual(["gradient/nonfinite_fraction since 30"]);
    cache.of("gradient/rms");
    await settle();
    expect(asked).toEqual(["gradient/nonfinite_fraction since 30", "gradient/rms since 30"]);
  });

  it("asks again for a newest part, or for marks, that did not come", async () => {
    const cache = new StatisticCache(
      "r",
      () => manifest,
      Promise.resolve(),
      (work) => work().catch(() => {}),
    );
    const shown = cache.of("gradient/rms");
    await settle();
    grow(30);
    broken.add(30);
    for (const lost of ["gradient/rms", "gradient/nonfinite_fraction"]) {
      const answer = fetchContainer.getMockImplementation() as (route: string, query: { name: string }) => unknown;
      fetchContainer.mockImplementation(async (route: string, query: { name: string }) => {
        if (query.name === lost) throw new Error("no answer");
        return answer(route, query);
      });
      await cache.renew(false);
      fetchContainer.mockImplementation(answer);
      expect(shown.value?.series.count).toBe(steps.length - 1);
      cache.retry();
      await settle();
      expect(shown.value?.series.count).toBe(steps.length);
      expect(shown.value?.series.state[steps.length - 1] === NONFINITE).toBe(broken.has(steps.at(-1) as number));
      cache.of("gradient/rms");
      grow(40);
    }
  });

  it("does not let a late answer replace a newer one", async () => {
    manifest = { ...manifest, statistics: ["gradient/rms"] };
    const answer = fetchContainer.getMockImplementation() as (...query: unknown[]) => unknown;
    let arrive = () => {};
    fetchContainer.mockImplementationOnce((...query: unknown[]) => {
      const old = answer(...query);
      return new Promise((done) => {
        arrive = () => done(old);
      });
    });
    const cache = cacheOf();
    const shown = cache.of("gradient/rms");
    grow(30);
    await cache.renew(false);
    arrive();
    await settle();
    expect(shown.value?.series.count).toBe(4);
    cache.of("gradient/rms");
    grow(40);
    await cache.renew(false);
    expect(asked.at(-1)).toBe("gradient/rms since 30");
  });

  it("asks for marks once no other picture is waited for", async () => {
    manifest = { ...manifest, statistics: [...manifest.statistics, "weight/rms"] };
    const cache = cacheOf();
    const shown = cache.of("gradient/rms");
    await vi.advanceTimersByTimeAsync(PAUSE_MS / 2);
    expect(shown.value?.series.count).toBe(3);
    const answer = fetchContainer.getMockImplementation() as (...query: unknown[]) => unknown;
    let arrive = () => {};
    fetchContainer.mockImplementationOnce(async (...query: unknown[]) => {
      await new Promise<void>((done) => {
        arrive = done;
      });
      return answer(...query);
    });
    cache.of("weight/rms");
    await settle();
    expect(asked).toEqual(["gradient/rms"]);
    arrive();
    await settle();
    expect(asked).toEqual(["gradient/rms", "weight/rms", "gradient/nonfinite_fraction"]);
  });

  it("asks for marks only where the manifest lists them", async () => {
    manifest = { ...manifest, statistics: ["gradient/rms"] };
    cacheOf().of("gradient/rms");
    await settle();
    expect(asked).toEqual(["gradient/rms"]);
  });
});
