/**
 * The fixed bins of every histogram: the top ten bits of the float32 (`packing.py` has the same words). Two bins an
 * octave; 0 … 511 hold the positive values upwards from zero, 512 … 1023 the negative ones downwards.
 */
export const BINS = 1024;
/** Bins of one sign. Without it: 0 is zero with the subnormals below 2⁻¹²⁷, 510 infinity, 511 NaN. */
export const HALF = 512;
export const INFINITY_BIN = 510;
export const NAN_BIN = 511;

const bits = new Uint32Array(HALF);
for (let m = 0; m < HALF; m++) bits[m] = m << 22;

/** [512] of each magnitude bin the bound nearer to zero, which is in it; the farther one is the next bin's. */
export const EDGES: Float64Array = Float64Array.from(new Float32Array(bits.buffer));
// The largest finite bin ends where float32 does.
EDGES[INFINITY_BIN] = 2 ** 128;

/** The bin of a value. */
export function binOf(value: number): number {
  const one = new Float32Array([value]);
  return (new Uint32Array(one.buffer)[0] as number) >>> 22;
}

/** The bin of a magnitude, without its sign, among the finite ones. */
export function magnitudeBin(size: number): number {
  return Math.min(INFINITY_BIN - 1, binOf(Math.abs(size)) & (HALF - 1));
}

/**
 * Bins in the order of their values: 0 for zero, m and -m for the magnitude bin m. The two zeros are one place.
 */
export const orderOf = (bin: number): number => (bin < HALF ? bin : HALF - bin);

export const isFiniteBin = (bin: number): boolean => (bin & (HALF - 1)) < INFINITY_BIN;
