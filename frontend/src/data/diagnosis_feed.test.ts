import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "./api";
import { type Diagnosis, parseDiagnosis } from "./diagnosis";
import { DiagnosisFeed } from "./diagnosis_feed";

/** A server that answers when told to. */
let answers: { resolve: (d: Diagnosis) => void; reject: (e: unknown) => void }[];
const feedOf = () =>
  new DiagnosisFeed(() => new Promise<Diagnosis>((resolve, reject) => answers.push({ resolve, reject })));
const version = (name: string): Diagnosis => parseDiagnosis({ version: name });
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  answers = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("DiagnosisFeed", () => {
  it("asks once for a version, however often it is wanted", async () => {
    const feed = feedOf();
    feed.want("1");
    feed.want("1");
    answers[0]?.resolve(version("1"));
    await settle();
    feed.want("1");
    expect(answers).toHaveLength(1);
    expect(feed.value.value?.version).toBe("1");
    expect(feed.asking.value).toBe(false);
  });

  it("asked early, it does not ask again for the version it got", async () => {
    const feed = feedOf();
    feed.want("");
    feed.want("1");
    answers[0]?.resolve(version("1"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(answers).toHaveLength(1);
  });

  it("asked early, it does not ask twice for what fails", async () => {
    for (const late of [false, true]) {
      const feed = feedOf();
      answers = [];
      feed.want("");
      if (!late) feed.want("1");
      answers[0]?.reject(new ApiError("one sentence", 500));
      await settle();
      feed.want("1");
      await vi.advanceTimersByTimeAsync(60_000);
      expect(answers).toHaveLength(1);
      feed.want("2");
      expect(answers).toHaveLength(2);
    }
  });

  it("keeps the old one until the new one is here, and makes one request at a time", async () => {
    const feed = feedOf();
    feed.want("1");
    answers[0]?.resolve(version("1"));
    await settle();
    feed.want("2");
    feed.want("3");
    await settle();
    expect(answers).toHaveLength(2);
    expect(feed.value.value?.version).toBe("1");
    answers[1]?.resolve(version("2"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(feed.value.value?.version).toBe("2");
    expect(answers).toHaveLength(3);
  });

  it("rests four times as long as an answer took, and still gets the last version", async () => {
    const feed = feedOf();
    feed.want("1");
    await vi.advanceTimersByTimeAsync(2000);
    answers[0]?.resolve(version("1"));
    await settle();
    feed.want("2");
    await vi.advanceTimersByTimeAsync(7000);
    feed.want("3");
    expect(answers).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1001);
    expect(answers).toHaveLength(2);
    answers[1]?.resolve(version("3"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(feed.value.value?.version).toBe("3");
    expect(answers).toHaveLength(2);
  });

  it("says what went wrong, keeps what it has, and asks again when told to", async () => {
    const feed = feedOf();
    feed.want("1");
    answers[0]?.resolve(version("1"));
    await settle();
    feed.want("2");
    answers[1]?.reject(new ApiError("one sentence", 500));
    await settle();
    expect(feed.error.value).toBe("one sentence");
    expect(feed.value.value?.version).toBe("1");
    feed.want("2");
    expect(answers).toHaveLength(2);
    feed.retry();
    feed.want("2");
    expect(answers).toHaveLength(3);
    answers[2]?.resolve(version("2"));
    await settle();
    expect(feed.error.value).toBeNull();
    expect(feed.value.value?.version).toBe("2");
  });

  it("leaves a server that is not there to the poller, and asks again when it is back", async () => {
    const feed = feedOf();
    feed.want("1");
    answers[0]?.reject(new ApiError("cannot be reached", 0));
    await settle();
    expect(feed.error.value).toBeNull();
    feed.retry();
    feed.want("1");
    expect(answers).toHaveLength(2);
  });
});
