/**
 * The band that theory expects of a signal along the depth, and that the rules of the diagnosis go by.
 *
 * Weights initialised so that each layer keeps the variance (Glorot & Bengio 2010; He et al. 2015) pass the signal on
 * at its size forward, and backward the norm of the gradient of an example's output: the rms then goes with one over
 * the root of the layer's width. No trained network does so exactly. A factor of ten around the anchor is what the
 * lens calls "keeps its scale"; over the whole depth the rules speak of a vanishing or exploding gradient at 10⁴, of a
 * signal that drifts at 10³ (`rules/gradients.py`, `rules/initialization.py`). The band widens evenly from the one to
 * the other, so a profile that leaves it at the far end is one that the diagnosis names.
 */
import type { Layer, Manifest } from "./manifest";
import { FINITE, type Series } from "./series";

export interface Band {
  /** Of each row, NaN where nothing is expected. */
  readonly low: Float64Array;
  readonly high: Float64Array;
}

const NEAR = 1;
const FAR = { gradient: 4, activation: 3 };
/** Fewer layers with weights have no depth to speak of; the rules say so too. */
const LEAST_ROWS = 4;

const EXPECTED = new Set(["gradient/rms", "activation/rms", "activation/std"]);

export const hasBand = (statistic: string): boolean => EXPECTED.has(statistic);

/** How far the signal may have drifted at the far end, in powers of ten. */
export const farDecades = (statistic: string): number =>
  statistic.startsWith("gradient/") ? FAR.gradient : FAR.activation;

/** Rows of first calls of modules with a weight of two dimensions or more, embeddings left out. */
export function weightedRows(manifest: Manifest): number[] {
  const owners = new Set(manifest.parameters.filter((p) => p.shape.length >= 2).map((p) => p.layer));
  return manifest.layers.flatMap((layer, row) =>
    layer.kind === "module" && layer.call === 0 && !layer.type.includes("Embedding") && owners.has(layer.name)
      ? [row]
      : [],
  );
}

/** The band at one sample; null where theory says nothing: too few layers, or no signal to go by. */
export function bandOf(manifest: Manifest, weighted: readonly number[], series: Series, sample: number): Band | null {
  const gradient = series.name.startsWith("gradient/");
  const layers = manifest.layers;
  const norm = (row: number): number => {
    const at = row * series.capacity + sample;
    const value = row < series.rows && series.state[at] === FINITE ? (series.values[at] as number) : Number.NaN;
    return gradient ? value * width(layers[row]) : value;
  };
  const known = weighted.filter((row) => norm(row) >= 0);
  if (sample < 0 || known.length < LEAST_ROWS) return null;
  const third = Math.max(1, Math.floor(known.length / 3));
  const outer = (gradient ? known.slice(-third) : known.slice(0, third)).map(norm).filter((size) => size > 0);
  if (outer.length === 0) return null;
  outer.sort((a, b) => a - b);
  const anchor = Math.sqrt((outer[(outer.length - 1) >> 1] as number) * (outer[outer.length >> 1] as number));
  const [first, last] = [known[0] as number, known[known.length - 1] as number];
  const far = farDecades(series.name);
  const low = new Float64Array(layers.length).fill(Number.NaN);
  const high = new Float64Array(layers.length).fill(Number.NaN);
  for (let row = 0; row < layers.length; row++) {
    const away = Math.max(0, Math.min(1, (gradient ? last - row : row - first) / (last - first)));
    const factor = 10 ** (NEAR + (far - NEAR) * away);
    const middle = gradient ? anchor / width(layers[row]) : anchor;
    low[row] = middle / factor;
    high[row] = middle * factor;
  }
  return { low, high };
}

/** Rows below and above the band at a sample, of those that it speaks of and that were measured. */
export function outside(band: Band, series: Series, sample: number): { low: number; high: number; of: number } {
  let [low, high, of] = [0, 0, 0];
  for (let row = 0; row < Math.min(series.rows, band.low.length); row++) {
    const at = row * series.capacity + sample;
    const value = series.values[at] as number;
    if (series.state[at] !== FINITE || value - value !== 0) continue;
    of++;
    if (value < (band.low[row] as number)) low++;
    else if (value > (band.high[row] as number)) high++;
  }
  return { low, high, of };
}

/** Root of the elements of a layer's output per example. */
function width(layer: Layer | undefined): number {
  const shape = layer?.shape ?? [];
  const own = shape.length > 1 ? shape.slice(1) : shape;
  return Math.sqrt(
    Math.max(
      1,
      own.reduce((a, b) => a * b, 1),
    ),
  );
}
