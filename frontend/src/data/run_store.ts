/**
 * What is loaded of one run, as signals. Old data stays on screen until new data is there, and what is not on screen
 * is not asked for.
 */
import { type Signal, signal } from "@preact/signals";
import { ApiError, fetchContainer, fetchDiagnosis, fetchManifest } from "./api";
import { type DeadData, parseDead } from "./dead";
import { DiagnosisFeed } from "./diagnosis_feed";
import type { Manifest } from "./manifest";
import { type LoadedSeries, StatisticCache } from "./statistic_cache";
import { parseUnits, type UnitData } from "./units";

export type { LoadedSeries };

/** A payload, and the version of the run it was last asked for at. */
interface Held<T> {
  readonly value: Signal<T | null>;
  askedAt: string | null;
}

const held = <T>(): Held<T> => ({ value: signal(null), askedAt: null });

export class RunStore {
  readonly manifest: Signal<Manifest | null> = signal(null);
  readonly error: Signal<string | null> = signal(null);
  /** The manifest is on its way. */
  loading = false;
  readonly diagnosis: DiagnosisFeed;
  private readonly statistics: StatisticCache;
  private manifestHere: () => void = () => {};
  private readonly deadUnits = held<DeadData>();
  private readonly units = new Map<string, Held<UnitData>>();

  constructor(readonly name: string) {
    this.diagnosis = new DiagnosisFeed(() => fetchDiagnosis(name));
    this.statistics = new StatisticCache(
      name,
      () => this.manifest.peek(),
      new Promise((here) => {
        this.manifestHere = here;
      }),
      (work) => this.guard(work),
    );
  }

  async load(): Promise<void> {
    this.loading = true;
    await this.guard(async () => {
      this.manifest.value = await fetchManifest(this.name);
      this.manifestHere();
    });
    this.loading = false;
  }

  seriesOf(name: string): Signal<LoadedSeries | null> {
    return this.statistics.of(name);
  }

  fetchAhead(names: readonly string[], wanted: () => boolean): Promise<void> {
    return this.statistics.fetchAhead(names, wanted);
  }

  dead(): Signal<DeadData | null> {
    return this.fresh(this.deadUnits, async () => parseDead(await fetchContainer("dead", { run: this.name })));
  }

  unitsOf(layer: string): Signal<UnitData | null> {
    const known = this.units.get(layer) ?? held<UnitData>();
    this.units.set(layer, known);
    return this.fresh(known, async () => parseUnits(await fetchContainer("units", { run: this.name, layer })));
  }

  /** Brings what is on screen up to date after the run changed. */
  async refresh(): Promise<void> {
    const before = this.manifest.peek();
    this.error.value = null;
    await this.load();
    const after = this.manifest.peek();
    if (!after || !before) return;
    const rewound =
      after.samples < before.samples || after.lastStep < before.lastStep || after.firstStep !== before.firstStep;
    await this.statistics.renew(rewound);
  }

  /** Forgets failures, so that what is asked for is asked of the server again. */
  retry(): void {
    this.error.value = null;
    this.statistics.retry();
    this.diagnosis.retry();
    const manifest = this.manifest.peek();
    if (!manifest) {
      void this.load();
      return;
    }
    for (const known of [this.deadUnits, ...this.units.values()]) if (!known.value.peek()) known.askedAt = null;
    // A new object: who reads the manifest asks again for what it needs.
    this.manifest.value = { ...manifest };
  }

  /** The payload; asks for it when it is missing or older than the run. */
  private fresh<T>(known: Held<T>, ask: () => Promise<T>): Signal<T | null> {
    const version = this.manifest.peek()?.version ?? "";
    if (known.askedAt !== version) {
      known.askedAt = version;
      void this.guard(async () => {
        known.value.value = await ask();
      });
    }
    return known.value;
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
