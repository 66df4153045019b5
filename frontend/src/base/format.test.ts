import { describe, expect, it } from "vitest";
import { formatCount, formatExact, formatShare, formatValue, plural } from "./format";

describe("formatExact", () => {
  it("reads back as the same float32, in as few digits as that takes", () => {
    const bits = new Uint32Array(1);
    const view = new Float32Array(bits.buffer);
    let seed = 12345;
    for (let i = 0; i < 5000; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      bits[0] = seed;
      const value = view[0] as number;
      if (!Number.isFinite(value)) continue;
      const text = formatExact(value);
      expect(Math.fround(Number(text))).toBe(value);
    }
    expect(formatExact(Math.fround(0.1))).toBe("0.1");
    expect(formatExact(Math.fround(1e-45))).toBe("1.4013e-45");
    expect(formatExact(0)).toBe("0");
  });

  it("says what is not finite", () => {
    expect([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(formatExact)).toEqual([
      "NaN",
      "Inf",
      "-Inf",
    ]);
  });
});

describe("formatValue", () => {
  it("gives three digits and a true minus", () => {
    expect(formatValue(0.0123)).toBe("0.0123");
    expect(formatValue(1234)).toBe("1230");
    expect(formatValue(3.21e-5)).toBe("3.21e−5");
    expect(formatValue(-2e10)).toBe("−2.00e10");
    expect(formatValue(0)).toBe("0");
    expect(formatValue(1)).toBe("1");
  });
});

describe("formatShare", () => {
  it("never rounds something to nothing or not all to all", () => {
    expect(formatShare(0)).toBe("0 %");
    expect(formatShare(1e-6)).toBe("< 0.1 %");
    expect(formatShare(0.9999)).toBe("> 99.9 %");
    expect(formatShare(0.998)).toBe("99 %");
    expect(formatShare(0.41)).toBe("41 %");
    expect(formatShare(0.025)).toBe("2.5 %");
    expect(formatShare(1)).toBe("100 %");
    expect(formatShare(Number.NaN)).toBe("–");
  });
});

describe("words", () => {
  it("counts", () => {
    expect(formatCount(1234567)).toBe("1,234,567");
    expect(plural(1, "layer")).toBe("1 layer");
    expect(plural(1200, "layer")).toBe("1,200 layers");
  });
});
