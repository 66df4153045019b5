/** Helpers of the tests: data as the server would send them. */
import type { Container, Numbers } from "./container";
import type { Histogram } from "./histograms";
import type { Layer } from "./manifest";
import { emptySeries, extend, type Series } from "./series";

export function container(arrays: Readonly<Record<string, readonly [Numbers, ...number[]]>>, header = {}): Container {
  return {
    header,
    arrays: new Map(Object.entries(arrays).map(([name, [data, ...shape]]) => [name, { data, shape }])),
  };
}

/** `rows[r][t]`. */
export function seriesOf(steps: readonly number[], rows: readonly (readonly number[])[]): Series {
  const values = new Float32Array(steps.length * rows.length);
  rows.forEach((row, r) => {
    row.forEach((value, t) => {
      values[t * rows.length + r] = value;
    });
  });
  const parts = container({
    steps: [Float64Array.from(steps), steps.length],
    values: [values, steps.length, rows.length],
  });
  return extend(emptySeries("gradient/rms", rows.length), parts);
}

export function layer(name: string, more: Partial<Layer> = {}): Layer {
  const bare = name.replace(/@\d+$/, "").replace(/\/.*$/, "");
  return {
    name,
    kind: name.includes("/") ? "function" : "module",
    type: "Linear",
    function: null,
    parent: bare.includes(".") ? bare.slice(0, bare.lastIndexOf(".")) : "",
    call: Number(/@(\d+)$/.exec(name)?.[1] ?? 0),
    shape: [4, 8],
    units: 8,
    source: null,
    dtype: null,
    reachesZero: false,
    bounded: false,
    ...more,
  };
}

/** Counts by bin. */
export function histogram(counted: Readonly<Record<number, number>>): Histogram {
  const bins = Uint16Array.from(Object.keys(counted), Number).sort();
  const counts = Uint32Array.from(bins, (bin) => counted[bin] ?? 0);
  return { bins, counts, total: counts.reduce((a, b) => a + b, 0) };
}
