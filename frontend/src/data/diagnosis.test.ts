import { describe, expect, it } from "vitest";
import { parseDiagnosis } from "./diagnosis";

describe("parseDiagnosis", () => {
  it("takes anything", () => {
    for (const odd of [null, 7, [], {}, { findings: 3, steps: "x" }, { findings: [null], checks: [null] }]) {
      expect(parseDiagnosis(odd).steps).toBeNull();
    }
    const [finding] = parseDiagnosis({ findings: [{}] }).findings;
    expect(finding).toMatchObject({ code: "", severity: "info", layers: [], firstStep: 0, lastStep: 0, effects: [] });
    expect(parseDiagnosis({ checks: [{ code: "x", outcome: "odd" }] }).checks[0]).toEqual({
      code: "x",
      question: "x",
      outcome: "not checked",
      reason: "",
    });
  });

  it("tells not measured from infinite", () => {
    const evidence = {
      values: [
        [1, null],
        ["inf", "-inf"],
      ],
      expected: [null, 2],
      rows: ["a", "b"],
      steps: [0, 1],
    };
    const parsed = parseDiagnosis({ findings: [{ evidence: [evidence] }] }).findings[0]?.evidence[0];
    expect(parsed?.values).toEqual([
      [1, Number.NaN],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ]);
    expect(parsed?.expected).toEqual([Number.NaN, 2]);
  });

  it("puts the worst first and keeps the order among equals", () => {
    const of = (code: string, severity: string) => ({ code, severity });
    const { findings } = parseDiagnosis({
      findings: [of("a", "info"), of("b", "warning"), of("c", "critical"), of("d", "warning")],
    });
    expect(findings.map((f) => f.code).join("")).toBe("cbda");
  });

  it("takes a cause as seriously as what it explains", () => {
    const effects = [{ severity: "info" }, { severity: "critical" }];
    const [cause] = parseDiagnosis({ findings: [{ severity: "warning", effects }] }).findings;
    expect(cause?.severity).toBe("critical");
    expect(cause?.effects.map((e) => e.severity)).toEqual(["critical", "info"]);
  });
});
