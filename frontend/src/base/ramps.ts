/**
 * Colour ramps as tables of 256 packed pixels (0xAABBGGRR, what ImageData wants on little-endian machines).
 *
 * Cividis is built for colour-vision deficiency and is monotone in lightness. The quiet end lies near the background:
 * the ramp runs dark to light on a dark page and light to dark on a light one, where the first stop is paled further,
 * since a full canvas of saturated yellow would shout.
 */
type Stops = readonly string[];

const CIVIDIS: Stops = [
  "#00224e",
  "#0b3069",
  "#2c3f6e",
  "#434e6c",
  "#575d6d",
  "#6a6c71",
  "#7d7c78",
  "#918d77",
  "#a59e72",
  "#bbaf6a",
  "#d2c25c",
  "#ead547",
  "#fee838",
];
const LIGHT: Stops = ["#fbf6d9", "#f3e79f", ...[...CIVIDIS].reverse().slice(2)];
const DARK: Stops = ["#172033", ...CIVIDIS.slice(1)];
/** Blue – neutral – orange around a meaningful centre. */
const DIVERGING_LIGHT: Stops = ["#1d4e89", "#5d93c6", "#b5d0e6", "#f4f4f2", "#f3cfa4", "#d98f3e", "#8f4a06"];
const DIVERGING_DARK: Stops = ["#7fb8ee", "#3f7fbd", "#27486a", "#2c2d30", "#65431f", "#bd7426", "#f7b267"];

export type Ramp = Uint32Array;

export interface Ramps {
  readonly sequential: Ramp;
  readonly diverging: Ramp;
}

export function rampsFor(dark: boolean): Ramps {
  return {
    sequential: ramp(dark ? DARK : LIGHT),
    diverging: ramp(dark ? DIVERGING_DARK : DIVERGING_LIGHT),
  };
}

export function ramp(stops: Stops, size = 256): Ramp {
  const table = new Uint32Array(size);
  const colours = stops.map(parseHex);
  for (let i = 0; i < size; i++) {
    const at = (i / (size - 1)) * (stops.length - 1);
    const left = Math.min(Math.floor(at), stops.length - 2);
    const part = at - left;
    const [a, b] = [colours[left], colours[left + 1]];
    if (!a || !b) continue;
    table[i] = pack(mix(a[0], b[0], part), mix(a[1], b[1], part), mix(a[2], b[2], part));
  }
  return table;
}

type Rgb = readonly [number, number, number];

export function parseHex(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

export function packHex(hex: string): number {
  return pack(...parseHex(hex));
}

function mix(a: number, b: number, part: number): number {
  return Math.round(a + (b - a) * part);
}

function pack(r: number, g: number, b: number): number {
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** A table entry as a CSS colour. */
export function cssOf(packed: number): string {
  return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
}
