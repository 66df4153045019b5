/**
 * From a value to a place on the colour ramp or on an axis (0 … 1), and the ticks to label it with.
 */
import { formatPoints, formatValue, powerOfTen } from "./format";

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** 0 … 1, clamped at both ends; NaN for what has no place (a zero on a logarithmic scale). */
  unit(value: number): number;
  ticks(most: number): Tick[];
}

/** Logarithmic between two positive bounds. */
export function logScale(low: number, high: number): Scale {
  const from = Math.log10(low);
  const span = Math.max(Math.log10(high) - from, 1e-9);
  return {
    low,
    high,
    unit: (value) => (value > 0 ? clamp((Math.log10(value) - from) / span) : Number.NaN),
    ticks: (most) => {
      const first = Math.ceil(from - 1e-9);
      const last = Math.floor(from + span + 1e-9);
      if (last - first < 1) return fineTicks(from, span);
      const stride = Math.max(1, Math.ceil((last - first + 1) / most));
      const ticks: Tick[] = [];
      for (let e = Math.ceil(first / stride) * stride; e <= last; e += stride) {
        ticks.push({ at: (e - from) / span, label: powerOfTen(e) });
      }
      return ticks;
    },
  };
}

/** Within two decades the powers of ten alone say too little: 1, 2 and 5 of each. */
function fineTicks(from: number, span: number): Tick[] {
  const ticks: Tick[] = [];
  for (let e = Math.floor(from); e <= Math.ceil(from + span); e++) {
    for (const mark of [1, 2, 5]) {
      const at = (e + Math.log10(mark) - from) / span;
      if (at < -1e-9 || at > 1 + 1e-9) continue;
      ticks.push({ at, label: mark === 1 ? powerOfTen(e) : e === 0 ? String(mark) : `${mark}·${powerOfTen(e)}` });
    }
  }
  return ticks;
}

/** Of a few marks. */
function marked(unit: (value: number) => number, marks: readonly number[], label = formatValue): Scale {
  return {
    low: marks[0] as number,
    high: marks[marks.length - 1] as number,
    unit,
    ticks: () => marks.map((value) => ({ at: unit(value), label: label(value) })),
  };
}

/** Linear between two bounds, which are its ticks. */
export function linearScale(low: number, high: number): Scale {
  const span = high - low;
  return marked((value) => (span > 0 ? clamp((value - low) / span) : 0.5), [low, high]);
}

/** Linear from 0 to `high`; labels in per cent. */
export function shareScale(high: number): Scale {
  return {
    low: 0,
    high,
    unit: (value) => clamp(value / high),
    ticks: (most) => {
      const parts = most >= 5 ? 4 : 2;
      return Array.from({ length: parts + 1 }, (_, i) => ({
        at: i / parts,
        label: `${Number(((high * 100 * i) / parts).toPrecision(3))} %`,
      }));
    },
  };
}

/** Signed and logarithmic away from zero, which sits in the middle; `size` is the largest magnitude. */
export function signedScale(size: number): Scale {
  const knee = size * 1e-3;
  const full = Math.log1p(size / knee);
  return marked(
    (value) => clamp(0.5 + (0.5 * Math.sign(value) * Math.log1p(Math.abs(value) / knee)) / full),
    [-size, -size * 0.03, 0, size * 0.03, size],
  );
}

/** Logarithmic around 1, from 1 / `most` to `most`. */
export function ratioScale(most: number): Scale {
  const full = Math.log10(most);
  const half = full > 1 && full % 2 === 0 ? 10 ** (full / 2) : 1;
  return marked(
    (value) => (value > 0 ? clamp(0.5 + Math.log10(value) / (2 * full)) : Number.NaN),
    [...new Set([1 / most, 1 / half, 1, half, most])],
    (ratio) => `${full <= 1 ? formatValue(ratio) : powerOfTen(Math.round(Math.log10(ratio)))}×`,
  );
}

/** A difference of shares: linear around zero, labels in percentage points. */
export function pointsScale(most: number): Scale {
  return marked((value) => clamp(0.5 + value / (2 * most)), [-most, 0, most], formatPoints);
}

export function clamp(value: number, low = 0, high = 1): number {
  return value < low ? low : value > high ? high : value;
}
