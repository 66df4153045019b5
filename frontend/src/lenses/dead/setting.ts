/** What the table is made of: the verdicts of a run, and those of the run it is compared with, matched by name. */
import { useMemo } from "../../base/hooks";
import { stepAxis } from "../../base/step_axis";
import {
  type Ailment,
  type Shares,
  STATISTIC_OF,
  sharesOfSeries,
  sharesOfSilence,
  type Verdict,
  verdictOf,
} from "../../data/ailments";
import type { DeadData } from "../../data/dead";
import type { Manifest } from "../../data/manifest";
import type { RunStore } from "../../data/run_store";
import * as view from "../../data/view";

export interface RunUnits {
  readonly run: RunStore;
  readonly manifest: Manifest;
  readonly data: DeadData;
  readonly verdicts: readonly Verdict[];
  /** Null where nothing was measured that would show it. */
  readonly shares: Shares | null;
  readonly rowOf: ReadonlyMap<string, number>;
}

export interface Setting extends RunUnits {
  readonly ailment: Ailment;
  readonly other: RunUnits | null;
  /** Place of a step on the time axis of all trends, 0 … 1. */
  readonly unit: (step: number) => number;
}

/** Null while it loads. */
function useRunUnits(run: RunStore | null, ailment: Ailment): RunUnits | null {
  const manifest = run?.manifest.value ?? null;
  // Not before the manifest: the version it names is what this must be as new as.
  const data = (manifest && run?.dead().value) ?? null;
  const name = STATISTIC_OF[ailment];
  const wanted = manifest !== null && (ailment !== "dead" || !manifest.units) && manifest.statistics.includes(name);
  const series = wanted ? (run?.seriesOf(name).value?.series ?? null) : null;
  return useMemo(() => {
    if (!run || !manifest || !data || (wanted && !series)) return null;
    const shares = series
      ? sharesOfSeries(series)
      : data.steps.length > 0 && ailment === "dead"
        ? sharesOfSilence(data)
        : null;
    return {
      run,
      manifest,
      data,
      shares,
      verdicts: manifest.layers.map((layer, row) => verdictOf(ailment, layer, row, data, shares)),
      rowOf: new Map(manifest.layers.map((layer, row) => [layer.name, row])),
    };
  }, [run, manifest, data, series, ailment, wanted]);
}

export function useSetting(run: RunStore | null, other: RunStore | null, ailment: Ailment): Setting | null {
  const mine = useRunUnits(run, ailment);
  const theirs = useRunUnits(other, ailment);
  const kind = view.axis.value;
  return useMemo(() => {
    if (!mine) return null;
    const steps = [mine, theirs].flatMap((units) => {
      const { steps: all, count } = units?.shares ?? { steps: [], count: 0 };
      return count > 0 ? [all[0] as number, all[count - 1] as number] : [];
    });
    const axis = stepAxis(kind, Math.min(...steps, Number.MAX_SAFE_INTEGER), Math.max(...steps, 0));
    return { ...mine, ailment, other: theirs, unit: (step) => axis.unit(step) };
  }, [mine, theirs, kind, ailment]);
}

/** What the other run says of the layer of this name. */
export function counterpart({ other }: Setting, name: string): Verdict | null {
  const row = other?.rowOf.get(name);
  return row === undefined ? null : (other?.verdicts[row] ?? null);
}
