import { describe, expect, it } from "vitest";
import { concerns } from "./findings_list";
import { isOpen, keyed, reveal, setOpen, settled } from "./keyed";
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

  it("stay where they are when others arrive, which are named", () => {
    const first = settled(keyed(findings("b", "c")), [], new Set());
    expect(first.fresh.size).toBe(0);
    const order = first.items.map((item) => item.key);
    const layers = (now: typeof first) => now.items.map((item) => item.finding.layers[0]);
    const later = settled(keyed(findings("a", "b", "c")), order, first.fresh);
    expect(layers(later)).toEqual(["b", "c", "a"]);
    expect([...later.fresh]).toEqual(["vanishing-gradient:a"]);
    const last = settled(keyed(findings("a", "c")), [...order, "vanishing-gradient:a"], later.fresh);
    expect(layers(last)).toEqual(["c", "a"]);
    expect(last.fresh.size).toBe(1);
    expect(settled(keyed(findings("x")), order, new Set()).fresh.size).toBe(0); // nothing of the old is left to read
  });

  it("are found by layer, also by that of what they explain", () => {
    const effects = [findingJson({ layers: ["Decoder.act"] })];
    const [finding] = diagnosisOf([findingJson({ layers: ["enc"], effects })]).findings;
    if (!finding) throw new Error("no finding");
    expect(concerns(finding, "decoder")).toBe(true);
    expect(concerns(finding, "stem")).toBe(false);
  });
});
