/**
 * What is loaded of one run, as signals. Old data stays on screen until new data is there, and what is not on screen
 * is not asked for.
 */
import { type Signal, signal } from "@preact/signals";
import { failureOf, fetchContainer, fetchDiagnosis, fetchManifest } from "./api";
import type { Container } from "./container";
import { type DeadData, parseDead } from "./dead";
import { DiagnosisFeed } from "./diagnosis_feed";
import { FreshCache } from "./fresh_cache";
import { HistogramCache } from "./histogram_cache";
import type { Manifest } from "./manifest";
import { parseScalars, type ScalarData } from "./scalars";
import { type LoadedSeries, StatisticCache } from "./statistic_cache";
import { parseUnits, type UnitData } from "./units";

export type { LoadedSeries };

/** Statistics of a run that is not on screen: the one that was, and what marks it. */
const KEPT_ASIDE = 2;

export class RunStore {
  readonly manifest: Signal<Manifest | null> = signal(null);
  readonly error: Signal<string | null> = signal(null);
  /** The manifest is on its way. */
  loading = false;
  readonly diagnosis: DiagnosisFeed;
  readonly histograms: HistogramCache;
  private readonly statistics: StatisticCache;
  private manifestHere: () => void = () => {};
  private readonly others: FreshCache;

  constructor(readonly name: string) {
    const manifest = () => this.manifest.peek();
    const version = () => manifest()?.version ?? "";
    const guard = (work: () => Promise<void>) => this.guard(work);
    const here = new Promise<void>((done) => {
      this.manifestHere = done;
    });
    this.diagnosis = new DiagnosisFeed(() => fetchDiagnosis(name));
    this.histograms = new HistogramCache(name, version, guard);
    this.others = new FreshCache(version, guard);
    this.statistics = new StatisticCache(name, manifest, here, guard);
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

  /** How many statistics are kept; who shows more than these at once fetches them over and over. */
  room(): number {
    return this.statistics.room();
  }

  fetchAhead(names: readonly string[], wanted: () => boolean): Promise<void> {
    return this.statistics.fetchAhead(names, wanted);
  }

  /** Nobody looks at this run for now: what was seen last is enough to come back to. */
  trim(): void {
    this.statistics.trim(KEPT_ASIDE);
  }

  dead(): Signal<DeadData | null> {
    return this.fetched("dead", parseDead);
  }

  unitsOf(layer: string): Signal<UnitData | null> {
    return this.fetched("units", parseUnits, { layer });
  }

  /** A scalar of the training loop and the names of all; without a name those that tell most. */
  scalarsOf(name = ""): Signal<ScalarData | null> {
    return this.fetched("scalars", parseScalars, name === "" ? {} : { name });
  }

  private fetched<T>(
    route: "dead" | "units" | "scalars",
    parse: (container: Container) => T,
    of: Readonly<Record<string, string>> = {},
  ): Signal<T | null> {
    return this.others.fresh(`${route} ${JSON.stringify(of)}`, async (show) =>
      show(parse(await fetchContainer(route, { run: this.name, ...of }))),
    );
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
    this.histograms.retry();
    this.others.retry();
    const manifest = this.manifest.peek();
    if (!manifest) {
      void this.load();
      return;
    }
    // A new object: who reads the manifest asks again for what it needs.
    this.manifest.value = { ...manifest };
  }

  /** A server that is not there is the poller's to report; anything else is said. */
  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.error.value = failureOf(error) ?? this.error.peek();
    }
  }
}
