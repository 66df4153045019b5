/**
 * What is loaded of one run, as signals. Old data stays on screen until new data is there; a live run only fetches
 * the steps it does not have yet.
 */
import { type Signal, signal } from "@preact/signals";
import { ApiError, fetchContainer, fetchManifest } from "./api";
import { type DeadData, parseDead } from "./dead";
import { type Domain, domainOf } from "./domain";
import type { Manifest } from "./manifest";
import { emptySeries, extend, markNonFinite, type Series } from "./series";
import { companionOf, statisticOf } from "./statistics";
import { parseUnits, type UnitData } from "./units";

export interface LoadedSeries {
  readonly series: Series;
  readonly domain: Domain;
}

/** Statistics kept and fetched ahead, in bytes: 1,000 rows × 2,000 steps take 10 MB each, most runs far less. */
const MEMORY = 120e6;

export class RunStore {
  readonly manifest: Signal<Manifest | null> = signal(null);
  readonly dead: Signal<DeadData | null> = signal(null);
  readonly error: Signal<string | null> = signal(null);
  private readonly series = new Map<string, Signal<LoadedSeries | null>>();
  private readonly units = new Map<string, Signal<UnitData | null>>();
  private readonly raw = new Map<string, { generation: number; series: Promise<Series> }>();
  /** Those of `raw` that are here. */
  private readonly settled = new Map<string, Series>();
  /** Counts the refreshes; what is held from the one before may be extended by `added` steps. */
  private generation = 0;
  private added = 0;

  constructor(readonly name: string) {}

  loading = false;

  async load(): Promise<void> {
    this.loading = true;
    await this.guard(async () => {
      this.manifest.value = await fetchManifest(this.name);
    });
    this.loading = false;
  }

  /** The statistic, loading it on first use. */
  seriesOf(name: string): Signal<LoadedSeries | null> {
    const known = this.series.get(name);
    if (known) {
      this.series.delete(name); // most recently used last
      this.series.set(name, known);
      return known;
    }
    const made: Signal<LoadedSeries | null> = signal(null);
    this.series.set(name, made);
    for (const old of [...this.series.keys()].slice(0, -this.room())) this.forget(old);
    void this.guard(() => this.fill(name, made));
    return made;
  }

  /** How many statistics of this run may be in memory. */
  private room(): number {
    const { samples = 1, layers = [], parameters = [] } = this.manifest.peek() ?? {};
    const bytes = 5 * samples * Math.max(layers.length, parameters.length, 1);
    return Math.max(6, Math.floor(MEMORY / Math.max(1, bytes)));
  }

  /**
   * Fetches what is likely to be looked at next, one by one, so that choosing it is instant. `idle` says when to stop:
   * whatever the user asks for in the meantime has the server to itself.
   */
  async fetchAhead(names: readonly string[], idle: () => boolean): Promise<void> {
    const ahead = names.filter((name) => !this.series.has(name)).slice(0, this.room() - this.series.size - 2);
    for (const name of ahead) {
      if (!idle()) return;
      if (this.series.has(name)) continue;
      const target: Signal<LoadedSeries | null> = signal(null);
      // Oldest, so that it is the first to go.
      const kept = [...this.series];
      this.series.clear();
      this.series.set(name, target);
      for (const [key, value] of kept) this.series.set(key, value);
      await this.guard(() => this.fill(name, target));
    }
  }

  private wantsDead = false;

  loadDead(): void {
    this.wantsDead = true;
    if (!this.dead.peek()) void this.guard(() => this.fetchDead());
  }

  unitsOf(layer: string): Signal<UnitData | null> {
    let known = this.units.get(layer);
    if (!known) {
      known = signal(null);
      this.units.set(layer, known);
      const target = known;
      void this.guard(() => this.fetchUnits(layer, target));
    }
    return known;
  }

  /** Brings everything on screen up to date after the run grew. */
  async refresh(): Promise<void> {
    const before = this.manifest.peek();
    this.error.value = null;
    await this.load();
    const after = this.manifest.peek();
    if (!after || !before) return;
    const added = after.samples - before.samples;
    const rewound = added < 0 || after.lastStep < before.lastStep || after.firstStep !== before.firstStep;
    this.generation++;
    this.added = rewound ? 0 : added;
    await Promise.all([
      ...[...this.series].map(([name, target]) => this.guard(() => this.grow(name, target))),
      this.dead.peek() ? this.guard(() => this.fetchDead()) : null,
      ...[...this.units].map(([layer, target]) => this.guard(() => this.fetchUnits(layer, target))),
    ]);
  }

  /** Forgets failures, so that what is asked for is asked of the server again. */
  retry(): void {
    this.error.value = null;
    for (const [name, target] of this.series) if (!target.peek()) void this.guard(() => this.fill(name, target));
    for (const [layer, target] of this.units) {
      if (!target.peek()) void this.guard(() => this.fetchUnits(layer, target));
    }
    if (!this.manifest.peek()) void this.load();
    if (this.wantsDead) this.loadDead();
  }

  private async fill(name: string, target: Signal<LoadedSeries | null>): Promise<void> {
    const companion = this.companion(name);
    const known = companion ? this.settled.get(companion) : undefined;
    const series = await this.rawSeries(name);
    this.publish(name, target, known ? markNonFinite(series, known) : series);
    // The picture does not wait for the marks, nor do the two share the server; mostly there is nothing to mark.
    if (companion && !known) {
      const marks = await this.rawSeries(companion);
      const shown = target.peek()?.series;
      const marked = shown && markNonFinite(shown, marks);
      if (marked && marked !== shown) this.publish(name, target, marked);
    }
  }

  private async grow(name: string, target: Signal<LoadedSeries | null>): Promise<void> {
    const companion = this.companion(name);
    const [series, marks] = await Promise.all([this.rawSeries(name), companion ? this.rawSeries(companion) : null]);
    this.publish(name, target, marks ? markNonFinite(series, marks) : series);
  }

  private publish(name: string, target: Signal<LoadedSeries | null>, series: Series): void {
    target.value = { series, domain: domainOf(series, statisticOf(name).scale) };
  }

  private companion(name: string): string | null {
    const companion = companionOf(name);
    return companion && (this.manifest.peek()?.statistics.includes(companion) ?? true) ? companion : null;
  }

  /**
   * The numbers as the server has them, asked for once a generation. Only the new steps are fetched; if fewer or
   * more arrive than the run has grown by, the server has dropped or rewritten some, and all are fetched anew.
   */
  private rawSeries(name: string): Promise<Series> {
    const { generation, added } = this;
    const known = this.raw.get(name);
    if (known?.generation === generation) return known.series;
    const made = (async () => {
      const extendable = known?.generation === generation - 1 && added > 0;
      const have = extendable ? await known.series.catch(() => undefined) : undefined;
      if (have && have.count > 0) {
        const since = have.steps[have.count - 1] as number;
        const tail = await fetchContainer("statistic", { run: this.name, name, since });
        if (tail.arrays.get("steps")?.shape[0] === added) return extend(have, tail);
      }
      return extend(emptySeries(name, 0), await fetchContainer("statistic", { run: this.name, name }));
    })();
    this.raw.set(name, { generation, series: made });
    made.then(
      (series) => this.settled.set(name, series),
      () => this.raw.get(name)?.series === made && this.raw.delete(name),
    );
    return made;
  }

  private forget(name: string): void {
    this.series.delete(name);
    this.raw.delete(name);
    this.settled.delete(name);
  }

  private async fetchDead(): Promise<void> {
    this.dead.value = parseDead(await fetchContainer("dead", { run: this.name }));
  }

  private async fetchUnits(layer: string, target: Signal<UnitData | null>): Promise<void> {
    target.value = parseUnits(await fetchContainer("units", { run: this.name, layer }));
  }

  /** A server that is not there is the poller's to report; anything else is said. */
  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ApiError && error.status === 0) return;
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }
}
