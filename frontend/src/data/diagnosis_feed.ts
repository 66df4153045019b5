/**
 * The diagnosis of a run, kept as new as the run. Making one may take the server seconds, so there is one request at a
 * time, none more often than a fifth of the time, and the old one stays until the new one is here.
 */
import { batch, type Signal, signal } from "@preact/signals";
import { failureOf } from "./api";
import type { Diagnosis } from "./diagnosis";

/** Pause after an answer, as a multiple of the time it took. */
const PAUSE = 4;

export class DiagnosisFeed {
  readonly value: Signal<Diagnosis | null> = signal(null);
  readonly error: Signal<string | null> = signal(null);
  readonly asking: Signal<boolean> = signal(false);
  private wanted: string | null = null;
  private pausedUntil = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ask: () => Promise<Diagnosis>) {}

  /** Sees to it that the diagnosis gets as new as this version of the run; "": any. */
  want(version: string): void {
    if (version === this.wanted) return;
    // What failed for any version has failed for this one.
    const failed = this.wanted === "" && this.error.peek() !== null;
    this.wanted = version;
    if (!failed) this.start();
  }

  /** Forgets a failure, so that the next `want` asks again. */
  retry(): void {
    if (this.value.peek() && this.error.peek() === null) return;
    this.error.value = null;
    this.wanted = null;
    this.pausedUntil = 0;
  }

  private start(): void {
    if (this.asking.peek() || this.timer !== undefined) return;
    const pause = this.pausedUntil - performance.now();
    if (pause <= 0) {
      void this.fetch();
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.fetch();
    }, pause);
  }

  private async fetch(): Promise<void> {
    const version = this.wanted;
    const begun = performance.now();
    this.asking.value = true;
    let [found, failure]: [Diagnosis | null, string | null] = [null, null];
    try {
      found = await this.ask();
    } catch (error) {
      failure = failureOf(error);
    }
    this.pausedUntil = performance.now() + PAUSE * (performance.now() - begun);
    batch(() => {
      this.asking.value = false;
      if (found) this.value.value = found;
      // The poller says that the server is not there, and when it is back.
      if (!found && failure === null) this.wanted = null;
      else this.error.value = failure;
    });
    const missed = this.wanted !== null && this.wanted !== version && this.wanted !== found?.version;
    if (missed && (found || version !== "")) this.start();
  }
}
