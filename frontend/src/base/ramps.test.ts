import { describe, expect, it } from "vitest";
import { rampsFor } from "./ramps";

const linear = (v: number) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
/** Linear red, green and blue of a packed pixel. */
const rgb = (pixel: number) => [0, 8, 16].map((shift) => linear(((pixel >>> shift) & 255) / 255));
type Matrix = readonly (readonly number[])[];
const seen = (pixel: number, by: Matrix) =>
  by.map((row) => row.reduce((sum, weight, i) => sum + weight * (rgb(pixel)[i] as number), 0));
const lightness = (colour: readonly number[]) => {
  const y = 0.2126 * (colour[0] as number) + 0.7152 * (colour[1] as number) + 0.0722 * (colour[2] as number);
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
};

/** What is left of colour, in linear light: Machado, Oliveira & Fernandes 2009, severity 1. */
const EYES: Readonly<Record<string, Matrix>> = {
  usual: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

describe.each([
  ["light", false],
  ["dark", true],
] as const)("the colours of numbers, %s", (_, dark) => {
  const { sequential, diverging } = rampsFor(dark);

  it.each(Object.keys(EYES))("say more by one lightness or another: %s", (eyes) => {
    const of = (pixel: number) => lightness(seen(pixel, EYES[eyes] as Matrix));
    const found = [...sequential].filter((_, i) => i % 15 === 0).map(of);
    const up = (found.at(-1) as number) > (found[0] as number) ? 1 : -1;
    for (let i = 1; i < found.length; i++)
      expect(up * ((found[i] as number) - (found[i - 1] as number))).toBeGreaterThan(0);
    expect(Math.abs((found.at(-1) as number) - (found[0] as number))).toBeGreaterThan(55);
    // Below and above the middle differ from it, and from one another.
    const [low, middle, high] = [0, 128, 255].map((i) => seen(diverging[i] as number, EYES[eyes] as Matrix));
    const apart = (a: readonly number[] = [], b: readonly number[] = []) =>
      Math.hypot(...a.map((x, i) => x - (b[i] as number)));
    for (const [a, b] of [
      [low, middle],
      [high, middle],
      [low, high],
    ])
      expect(apart(a, b)).toBeGreaterThan(0.15);
  });
});
