import { describe, expect, it } from "vitest";
import { concerns } from "./findings_list";
import { isOpen, keyed, reveal, setOpen } from "./keyed";
import { diagnosisOf, findingJson } from "./testing";

const findings = (...layers: string[]) => diagnosisOf(layers.map((name) => findingJson({ layers: [name] }))).findings;

describe("findings by key", () => {
  it("keep their key when others come or go and the run goes on", () => {
    const before = keyed(findings("a", "b")).map((k) => k.key);
    const after = keyed(findings("new", "a", "b")).map((k) => k.key);
    expect(after.slice(1)).toEqual(before);
    expect(new Set(keyed(findings("a", "a", "a")).map((k) => k.key)).size).toBe(3);
    expect(keyed(findings("x"), "above")[0]?.key).toBe("above>vanishing-gradient:x");
  });

  it("stay open or closed as they were", () => {
    expect(isOpen("run", "k", 0)).toBe(true);
    expect(isOpen("run", "k", 9)).toBe(true); // a worse one came before it
    expect(isOpen("run", "far", 9)).toBe(false);
    setOpen("run", "k", false);
    expect(isOpen("run", "k", 0)).toBe(false);
    expect(isOpen("other", "k", 0)).toBe(true);
    reveal("run", "top>below");
    expect([isOpen("run", "top", 9), isOpen("run", "top>below", 9)]).toEqual([true, true]);
  });

  it("are found by layer, also by that of what they explain", () => {
    const effects = [findingJson({ layers: ["Decoder.act"] })];
    const [finding] = diagnosisOf([findingJson({ layers: ["enc"], effects })]).findings;
    if (!finding) throw new Error("no finding");
    expect(concerns(finding, "decoder")).toBe(true);
    expect(concerns(finding, "stem")).toBe(false);
  });
});
