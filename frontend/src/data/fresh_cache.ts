/** Payloads of one run in memory: what was looked at last, brought up to date when it is asked for again. */
import { type Signal, signal } from "@preact/signals";

interface Held {
  readonly shown: Signal<unknown>;
  /** Version of the run it was last asked for at. */
  askedAt: string | null;
  /** What it was last asked for did not come, or not all of it. */
  failed: boolean;
  /** Of the request whose answer is shown. */
  turn: number;
}

/** Histograms of a row over 500 steps take some 200 kB. */
const KEPT = 32;

export class FreshCache {
  private readonly held = new Map<string, Held>();
  private turns = 0;

  /** `guard` runs work and reports what goes wrong. */
  constructor(
    private readonly version: () => string,
    private readonly guard: (work: () => Promise<void>) => Promise<void>,
  ) {}

  /** The payload; asks for it when it is missing or older than the run. It may come in ever fuller parts. */
  fresh<T>(key: string, ask: (show: (found: T) => void) => Promise<void>): Signal<T | null> {
    const known: Held = this.held.get(key) ?? { shown: signal(null), askedAt: null, failed: false, turn: 0 };
    this.held.delete(key); // most recently used last
    this.held.set(key, known);
    for (const old of [...this.held.keys()].slice(0, -KEPT)) this.held.delete(old);
    const version = this.version();
    if (known.askedAt !== version) {
      known.askedAt = version;
      known.failed = false;
      const turn = ++this.turns;
      void this.guard(() =>
        ask((found) => {
          if (turn < known.turn) return; // a newer one is here
          known.turn = turn;
          known.shown.value = found;
        }).catch((error: unknown) => {
          known.failed = true;
          throw error;
        }),
      );
    }
    return known.shown as Signal<T | null>;
  }

  /** Asks again for what did not come. */
  retry(): void {
    for (const known of this.held.values()) if (known.failed) known.askedAt = null;
  }
}
