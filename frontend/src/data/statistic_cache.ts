/**
 * The statistics of one run in memory. What is on screen is kept up to date; the rest is brought up to date when it is
 * asked for again, from the step it has.
 */
import { type Signal, signal } from "@preact/signals";
import { fetchContainer } from "./api";
import { type Domain, domainOf } from "./domain";
import type { Manifest } from "./manifest";
import { emptySeries, extend, markNonFinite, type Series } from "./series";
import { companionOf, statisticOf } from "./statistics";

export interface LoadedSeries {
  readonly series: Series;
  readonly domain: Domain;
}

interface Entry {
  readonly shown: Signal<LoadedSeries | null>;
  /** The numbers, with the marks of the companion once it is here. */
  have: Series | null;
  /** Somebody looks at it; else it was fetched for the marks of another one alone. */
  wanted: boolean;
  /** Samples the run had when `have` was fetched. */
  samples: number;
  /** Of the request below; an older one is out of date. */
  generation: number;
  request: Promise<Series> | null;
}

/** Kept and fetched ahead, in bytes: 1,000 rows × 2,000 steps take 10 MB each, most runs far less. */
const MEMORY = 160e6;
let sharing = 1;

/** Marks are asked for so long after a picture: who goes through the statistics has the server to himself. */
export const PAUSE_MS = 150;

/** So many runs are in memory at once. */
export function shareMemory(runs: number): void {
  sharing = runs;
}

export class StatisticCache {
  private entries = new Map<string, Entry>();
  private generation = 0;
  /** The first numbers asked for last: done once they are here, or will not come. */
  private newest: Promise<unknown> | null = null;
  /** Asked for since the run last changed: those on screen, and some that were. */
  private readonly shown = new Set<string>();

  /** `guard` runs work and reports what goes wrong. */
  constructor(
    private readonly run: string,
    private readonly manifest: () => Manifest | null,
    private readonly manifestHere: Promise<void>,
    private readonly guard: (work: () => Promise<void>) => Promise<void>,
  ) {}

  /** The statistic; loads it on first use, and again when the run has grown since. */
  of(name: string): Signal<LoadedSeries | null> {
    this.shown.add(name);
    const entry = this.entry(name);
    this.entries.delete(name); // most recently used last
    this.entries.set(name, entry);
    this.trim(this.room());
    if (entry.generation !== this.generation || !entry.wanted) void this.guard(() => this.update(name));
    return entry.shown;
  }

  /** Keeps the statistics asked for last. */
  trim(count: number): void {
    for (const old of [...this.entries.keys()].slice(0, -count)) this.entries.delete(old);
  }

  /** The run has changed. `rewound`: steps it had are gone or others, so nothing held can be extended. */
  async renew(rewound: boolean): Promise<void> {
    this.generation++;
    if (rewound) for (const entry of this.entries.values()) entry.have = null;
    const names = [...this.shown].filter((name) => this.entries.has(name));
    this.shown.clear(); // who still shows one asks again for what now comes
    await Promise.all(names.map((name) => this.guard(() => this.update(name))));
  }

  /** Asks again for what did not come, be it only the newest part or the marks. */
  retry(): void {
    const failed = (name: string | null) => this.entries.get(name ?? "")?.request === null;
    const names = [...this.entries.keys()].filter((name) => failed(name) || failed(companionOf(name)));
    for (const name of names) void this.guard(() => this.update(name));
  }

  /**
   * Fetches what is likely to be looked at next, one by one, so that choosing it is instant. `wanted` says whether to
   * go on: what the user asks for in the meantime has the server to itself.
   */
  async fetchAhead(names: readonly string[], wanted: () => boolean): Promise<void> {
    for (const name of names) {
      if (this.entries.has(name)) continue;
      if (!wanted() || this.entries.size + 2 > this.room()) return;
      this.entries = new Map([[name, this.entry(name)], ...this.entries]); // to the front: the first to go
      await this.guard(() => this.update(name));
    }
  }

  private entry(name: string): Entry {
    let entry = this.entries.get(name);
    if (!entry) {
      entry = { shown: signal(null), have: null, wanted: false, samples: 0, generation: -1, request: null };
      this.entries.set(name, entry);
    }
    return entry;
  }

  /** How many statistics are kept. */
  room(): number {
    const { samples = 1, layers = [], parameters = [] } = this.manifest() ?? {};
    const bytes = 5 * samples * Math.max(layers.length, parameters.length);
    return Math.max(6, Math.floor(MEMORY / sharing / Math.max(1, bytes)));
  }

  private async update(name: string): Promise<void> {
    const entry = this.entry(name);
    const { generation } = this;
    entry.wanted = true;
    const possible = companionOf(name);
    // On first sight the picture does not wait for the marks, nor do the two share the server; mostly there is nothing
    // to mark. A picture that stands is replaced once, complete.
    const first = entry.shown.peek() === null;
    const early = first && possible !== null && this.entries.get(possible)?.have == null;
    const numbers = this.numbers(name).catch(async (error: unknown) => {
      await this.manifestHere;
      if (this.manifest()?.statistics.includes(name)) throw error;
      return null; // asked for before it was known that the run has none
    });
    if (first) this.newest = Promise.allSettled([numbers]);
    const series = await numbers;
    if (!series) return;
    const late = () => entry.generation !== generation; // a newer request is on its way, or here
    if (early && !(late() && entry.shown.peek())) this.publish(name, entry, series);
    if (possible) await this.manifestHere; // only it says whether the run has marks
    const companion = possible && this.manifest()?.statistics.includes(possible) ? possible : null;
    for (let seen = null; companion && early && seen !== this.newest; ) {
      seen = this.newest;
      await seen;
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
    const marked = companion ? markNonFinite(series, await this.numbers(companion)) : series;
    if (late()) return;
    entry.have = marked;
    if (!early || marked !== series) this.publish(name, entry, marked);
  }

  private publish(name: string, entry: Entry, series: Series): void {
    entry.shown.value = { series, domain: domainOf(series, statisticOf(name)) };
  }

  /** The numbers as the server has them, asked for once a generation. */
  private numbers(name: string): Promise<Series> {
    const entry = this.entry(name);
    if (entry.request && entry.generation === this.generation) return entry.request;
    const request = this.fetch(name, entry);
    entry.generation = this.generation;
    entry.request = request;
    request.catch(() => {
      if (entry.request === request) entry.request = null;
    });
    return request;
  }

  /**
   * Only new steps are fetched; if fewer or more arrive than the run has grown by, the server has dropped or rewritten
   * some, and all are fetched anew.
   */
  private async fetch(name: string, entry: Entry): Promise<Series> {
    const { have } = entry;
    const { generation } = this;
    const keep = (series: Series): Series => {
      if (entry.generation === generation) {
        entry.have = series;
        entry.samples = this.manifest()?.samples ?? series.count;
      }
      return series;
    };
    const added = (this.manifest()?.samples ?? 0) - entry.samples;
    if (have && have.count > 0 && added > 0) {
      const since = have.steps[have.count - 1] as number;
      const tail = await fetchContainer("statistic", { run: this.run, name, since });
      if (tail.arrays.get("steps")?.shape[0] === added) return keep(extend(have, tail));
    }
    const all = await fetchContainer("statistic", { run: this.run, name });
    return keep(extend(emptySeries(name, 0), all));
  }
}
