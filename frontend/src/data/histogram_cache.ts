/** The histograms of one run in memory. */
import type { Signal } from "@preact/signals";
import { fetchContainer } from "./api";
import { FreshCache } from "./fresh_cache";
import { type Histograms, parseHistograms } from "./histograms";

/** More ridges than fit a screen; the server reads so few in a quarter of a second, hundreds in seconds. */
const FIRST = 64;

export class HistogramCache extends FreshCache {
  /** Kinds of which the server has read every record once. */
  private readonly read = new Set<string>();

  constructor(
    private readonly run: string,
    ...base: ConstructorParameters<typeof FreshCache>
  ) {
    super(...base);
  }

  /** One row over steps: at first of some of them, if all take long. */
  ofRow(kind: string, row: string): Signal<Histograms | null> {
    const query = { run: this.run, kind, row };
    return this.fresh(`${kind} ${row}`, async (show) => {
      if (!this.read.has(kind)) show(parseHistograms(await fetchContainer("histograms", { ...query, most: FIRST })));
      show(parseHistograms(await fetchContainer("histograms", query)));
      this.read.add(kind);
    });
  }

  /** All rows at a step; null: the newest record. */
  atStep(kind: string, step: number | null): Signal<Histograms | null> {
    const query = { run: this.run, kind };
    return this.fresh(`${kind}@${step}`, async (show) =>
      show(parseHistograms(await fetchContainer("histograms", step === null ? query : { ...query, step }))),
    );
  }
}
