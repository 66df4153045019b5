/** Narrower number formats: where their range ends, and what of a histogram would not survive a cast to them. */
import { EDGES, HALF, INFINITY_BIN } from "./bins";
import type { Histogram } from "./histograms";

export interface Format {
  readonly id: string;
  readonly label: string;
  readonly max: number;
  /** What is at least so large rounds beyond `max`: half a unit above it. */
  readonly overflow: number;
  /** Smallest with full precision; below it bits are lost one by one. */
  readonly normal: number;
  /** What is smaller rounds to zero: half the smallest subnormal. */
  readonly vanish: number;
}

/** Largest number and its power of two, the smallest normal one's, and the bits of the mantissa. */
function format(id: string, label: string, max: number, largest: number, smallest: number, mantissa: number): Format {
  const overflow = max + 2 ** (largest - mantissa - 1);
  return { id, label, max, overflow, normal: 2 ** smallest, vanish: 2 ** (smallest - mantissa - 1) };
}

export const FORMATS: readonly Format[] = [
  format("float16", "float16", 65504, 15, -14, 10),
  format("bfloat16", "bfloat16", 2 ** 128 - 2 ** 120, 127, -126, 7),
  format("e4m3", "float8 e4m3", 448, 8, -6, 3),
  format("e5m2", "float8 e5m2", 57344, 15, -14, 2),
];

/** The format of a tensor's dtype as PyTorch names it, if it is one of these. */
export function formatOf(dtype: string | null | undefined): Format | null {
  const name = dtype ?? "";
  return FORMATS.find((f) => name === f.id || name.startsWith(`float8_${f.id}`)) ?? null;
}

/** Shares of all values counted. */
export interface Loss {
  /** Not zero now, and would be. Exact: the limit is a bin's edge. */
  readonly under: number;
  /** Beyond the largest number: at least `overLow`, at most `overHigh`, since that limit cuts a bin. */
  readonly overLow: number;
  readonly overHigh: number;
}

export function lossOf({ bins, counts, total }: Histogram, format: Format): Loss {
  let [under, low, high] = [0, 0, 0];
  for (let i = 0; i < bins.length; i++) {
    const m = (bins[i] as number) & (HALF - 1);
    if (m === 0 || m >= INFINITY_BIN) continue;
    const count = counts[i] as number;
    if ((EDGES[m + 1] as number) <= format.vanish) under += count;
    if ((EDGES[m] as number) >= format.overflow) low += count;
    if ((EDGES[m + 1] as number) > format.overflow) high += count;
  }
  const all = total || 1;
  return { under: under / all, overLow: low / all, overHigh: high / all };
}

export const lostAtLeast = (loss: Loss): number => loss.under + loss.overLow;
export const lostAtMost = (loss: Loss): number => loss.under + loss.overHigh;
