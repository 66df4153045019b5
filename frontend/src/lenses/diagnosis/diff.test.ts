import { describe, expect, it } from "vitest";
import { diffOf, tallyOf } from "./diff";
import { diagnosisOf, evidenceJson, findingJson, type Json } from "./testing";

const share = (value: number): Json =>
  evidenceJson({ statistic: "activation/dead_fraction", rows: ["a"], values: [[0], [value]] });
const dead = (layer: string, more: Json = {}): Json =>
  findingJson({ code: "dead-units", severity: "warning", layers: [layer], ...more });

const change = (mine: Json, theirs: Json) => {
  const run = diagnosisOf([mine]);
  return diffOf(run, diagnosisOf([theirs])).changes.get(run.findings[0] as never);
};

describe("findings of two runs", () => {
  it("are new, gone or in both", () => {
    const mine = diagnosisOf([dead("a"), findingJson({ code: "non-finite", layers: ["x"] })]);
    const theirs = diagnosisOf([dead("a"), dead("b"), findingJson({ code: "no-gradient", layers: [] })]);
    const diff = diffOf(mine, theirs);
    expect(mine.findings.map((f) => `${f.code} ${diff.changes.get(f)?.kind}`)).toEqual([
      "non-finite new",
      "dead-units same",
    ]);
    expect(diff.gone.map((f) => f.code)).toEqual(["no-gradient", "dead-units"]);
    expect(tallyOf(diff, mine.findings)).toBe("1 new, 2 gone, 1 in both");
  });

  it("match an effect here with a finding of its own there, and a cause that is gone takes its effects along", () => {
    const cause = (effects: Json[]) => findingJson({ code: "update-too-large", layers: ["w"], effects });
    const mine = diagnosisOf([cause([dead("a")])]);
    expect(diffOf(mine, diagnosisOf([dead("a")])).changes.get(mine.findings[0]?.effects[0] as never)?.kind).toBe(
      "same",
    );
    const back = diffOf(diagnosisOf([dead("a")]), diagnosisOf([cause([dead("a"), dead("b")])]));
    expect(back.gone.map((f) => f.code)).toEqual(["update-too-large"]);
    const kept = diffOf(diagnosisOf([cause([])]), diagnosisOf([cause([dead("b")])]));
    expect(kept.gone.map((f) => f.layers[0])).toEqual(["b"]);
  });

  it("match by any layer they share when the first differs, but prefer the first", () => {
    const mine = diagnosisOf([findingJson({ layers: ["a", "b"] }), findingJson({ layers: ["b", "c"] })]);
    const diff = diffOf(mine, diagnosisOf([findingJson({ layers: ["b", "c"] })]));
    expect(mine.findings.map((f) => diff.changes.get(f)?.kind)).toEqual(["new", "same"]);
    expect(change(findingJson({ layers: ["a", "b"] }), findingJson({ layers: ["c", "b"] }))?.kind).toBe("same");
  });

  it("are worse or better by severity, then by what was measured, then by how many layers", () => {
    expect(change(dead("a", { severity: "critical" }), dead("a"))).toEqual({
      kind: "worse",
      words: "critical here, warning there",
    });
    expect(change(dead("a", { evidence: [share(0.5)] }), dead("a", { evidence: [share(0.88)] }))).toEqual({
      kind: "better",
      words: "50 % here, 88 % there",
    });
    expect(change(dead("a", { evidence: [share(0.5)] }), dead("a", { evidence: [share(0.52)] }))?.kind).toBe("same");
    const ratio = (value: number) =>
      findingJson({
        evidence: [evidenceJson({ statistic: "parameter/update_ratio", values: [[1], [value]], expected: [1e-3] })],
      });
    expect(change(ratio(1), ratio(0.1))?.kind).toBe("worse");
    expect(change(ratio(1e-9), ratio(1e-3))?.kind).toBe("worse"); // too small is no better than too large
    expect(change(ratio(1.5e-3), ratio(1e-3))?.kind).toBe("same");
    expect(change(findingJson({ layers: ["a"] }), findingJson({ layers: ["a", "b"] }))).toEqual({
      kind: "better",
      words: "1 layer here, 2 there",
    });
  });
});
