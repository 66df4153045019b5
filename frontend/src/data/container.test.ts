import { describe, expect, it } from "vitest";
import { arrayOf, BrokenPayload, decodeContainer } from "./container";
// Written by the plugin's own `packing.pack`: both sides of the wire read the same bytes.
import golden from "./container.golden.bin?inline";

function bytes(): ArrayBuffer {
  const text = atob(golden.slice(golden.indexOf(",") + 1));
  return Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer;
}

describe("decodeContainer", () => {
  it("reads what the plugin packs", () => {
    const container = decodeContainer(bytes());
    expect(container.header.run).toBe("exp/ü");
    expect(container.header.levels).toEqual([0, 0.5, 1]);
    expect(container.header.window_observations).toBe(2000);
    expect([...arrayOf(container, "steps", Float64Array)]).toEqual([0, 1, 2, 4, 2 ** 53 - 1]);
    expect(container.arrays.get("values")?.shape).toEqual([5, 3]);
    const values = arrayOf(container, "values", Float32Array);
    expect(values[0]).toBe(1);
    expect(values[1]).toBeNaN();
    expect(values[3]).toBe(Math.fround(0.1));
    expect(values[4]).toBe(Number.POSITIVE_INFINITY);
    expect(Object.is(values[5], -0)).toBe(true);
    expect(values[9]).toBe(Math.fround(1 / 3));
    expect(values[11]).toBe(Math.fround(1e-45));
    expect([...arrayOf(container, "bytes", Uint8Array)]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([...arrayOf(container, "words", Uint16Array)]).toEqual([0, 65535]);
    expect([...arrayOf(container, "counts", Uint32Array)]).toEqual([1, 4294967295]);
    expect([...arrayOf(container, "signed", Int32Array)]).toEqual([-1, 2147483647]);
    expect(arrayOf(container, "none", Float32Array)).toHaveLength(0);
  });

  it("does not copy the arrays", () => {
    const buffer = bytes();
    expect(arrayOf(decodeContainer(buffer), "values", Float32Array).buffer).toBe(buffer);
  });

  it("says that an answer is broken, wherever it was cut", () => {
    const whole = bytes();
    for (let end = 0; end < whole.byteLength - 16; end += 5) {
      expect(() => decodeContainer(whole.slice(0, end))).toThrow(BrokenPayload);
    }
  });

  it("names an array that is missing or of another type", () => {
    const container = decodeContainer(bytes());
    expect(() => arrayOf(container, "dead", Uint32Array)).toThrow("dead");
    expect(() => arrayOf(container, "steps", Float32Array)).toThrow("steps");
  });
});
