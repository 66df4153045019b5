import { describe, expect, it } from "vitest";
import { cssOf, parseHex, ramp, rampsFor } from "./ramps";
import { logScale, shareScale, signedScale } from "./scales";
import { stepAxis, stepTicks } from "./step_axis";

describe("scales", () => {
  it("is logarithmic between its bounds and clamps beyond", () => {
    const scale = logScale(1e-8, 1);
    expect(scale.unit(1e-8)).toBe(0);
    expect(scale.unit(1e-4)).toBeCloseTo(0.5);
    expect(scale.unit(100)).toBe(1);
    expect(scale.unit(1e-12)).toBe(0);
    expect(scale.unit(0)).toBeNaN();
    expect(scale.ticks(5).map((t) => t.label)).toEqual(["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]);
  });

  it("puts zero in the middle of signed values", () => {
    const scale = signedScale(2);
    expect([-2, 0, 2].map((v) => scale.unit(v))).toEqual([0, 0.5, 1]);
    expect(scale.unit(0.02)).toBeGreaterThan(0.6);
  });

  it("labels shares in per cent", () => {
    expect(
      shareScale(0.05)
        .ticks(3)
        .map((t) => t.label),
    ).toEqual(["0 %", "2.5 %", "5 %"]);
  });
});

describe("ramps", () => {
  it("starts and ends on its stops", () => {
    const table = ramp(["#102030", "#ffffff"]);
    expect(cssOf(table[0] as number)).toBe("rgb(16 32 48)");
    expect(cssOf(table[255] as number)).toBe("rgb(255 255 255)");
    expect(parseHex("#102030")).toEqual([16, 32, 48]);
  });

  it("runs one way in lightness, quiet at the background's end", () => {
    const lightness = (packed: number) =>
      0.2126 * (packed & 255) + 0.7152 * ((packed >> 8) & 255) + 0.0722 * ((packed >> 16) & 255);
    for (const dark of [false, true]) {
      const { sequential } = rampsFor(dark);
      for (let i = 8; i < 256; i += 8) {
        const [a, b] = [lightness(sequential[i - 8] as number), lightness(sequential[i] as number)];
        if (dark) expect(b).toBeGreaterThan(a);
        else expect(b).toBeLessThan(a);
      }
    }
  });
});

describe("stepAxis", () => {
  it("maps there and back", () => {
    for (const kind of ["linear", "log"] as const) {
      const axis = stepAxis(kind, 10, 5000);
      for (const step of [10, 11, 500, 5000]) expect(axis.step(axis.unit(step))).toBeCloseTo(step, 6);
      expect(axis.unit(10)).toBe(0);
      expect(axis.unit(5000)).toBe(1);
    }
  });

  it("has a width for a single step", () => {
    expect(stepAxis("linear", 7, 7).to).toBe(8);
  });

  it("has round ticks inside, few enough to read", () => {
    for (const [from, to] of [
      [0, 9],
      [0, 9800],
      [123, 456],
      [0, 2e6],
      [999990, 1000000],
    ] as const) {
      for (const kind of ["linear", "log"] as const) {
        const ticks = stepTicks(stepAxis(kind, from, to), 8);
        expect(ticks.length).toBeGreaterThan(0);
        expect(ticks.length).toBeLessThan(28);
        for (const tick of ticks) {
          expect(tick.at).toBeGreaterThanOrEqual(-1e-9);
          expect(tick.at).toBeLessThanOrEqual(1);
        }
      }
    }
  });
});
