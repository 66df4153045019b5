import { describe, expect, it } from "vitest";
import type { Diagnosis } from "../../data/diagnosis";
import { diagnosisOf, findingJson, type Json } from "./testing";
import { countsOf, shortName, titleOf, typeset, verdictOf, whenOf } from "./words";

const isParameter = (name: string) => name.endsWith(".weight");
const said = (diagnosis: Diagnosis): string => {
  const { head, tail } = verdictOf(diagnosis, isParameter);
  return `${head} ${tail}`;
};
const check = (outcome: string, reason = ""): Json => ({ code: outcome, question: "?", outcome, reason });

describe("the verdict", () => {
  it("of a healthy run counts the checks that were made", () => {
    const checks = [...Array.from({ length: 13 }, () => check("passed")), check("not checked", "no")];
    expect(said(diagnosisOf([], { checks }))).toBe("Nothing wrong found in 13 checks over steps 0 to 400");
    expect(verdictOf(diagnosisOf([], { checks }), isParameter).severity).toBe("ok");
  });

  it("does not call a run healthy that nobody looked at", () => {
    expect(said(diagnosisOf([], { checks: [check("not checked")] }))).toBe(
      "Nothing could be checked over steps 0 to 400",
    );
    const empty = diagnosisOf([], { steps: null });
    expect(said(empty)).toBe("Nothing to look at yet: no step has been sampled");
    expect(verdictOf(empty, isParameter).severity).toBe("info");
  });

  it("says how many, what, where and since when", () => {
    expect(said(diagnosisOf([findingJson({ layers: ["0", "2", "4"] })]))).toBe(
      "1 problem: the gradient vanishes in layer 0 and 2 more since step 0",
    );
    const more = [
      findingJson({ code: "update-too-large", layers: ["a.weight"], first_step: 20, last_step: 80 }),
      findingJson({ code: "gradient-clipping", layers: [], severity: "info" }),
      findingJson({ code: "no-gradient", layers: [], severity: "warning" }),
    ];
    expect(said(diagnosisOf(more))).toBe(
      "1 problem, 1 warning and 1 note: updates are too large in parameter a.weight steps 20 to 80; " +
        "no gradient arrives since step 0; clipping decides the step since step 0",
    );
  });

  it("names a kind once, from the earliest step", () => {
    const dead = (layer: string, first: number) =>
      findingJson({ code: "dead-units", layers: [layer], first_step: first });
    expect(said(diagnosisOf([dead("1", 90), dead("3", 20), dead("5", 30)]))).toBe(
      "3 problems: units are dead in layer 1 and 2 more since step 20",
    );
  });

  it("names what a finding explains", () => {
    const effects = ["dead-units", "dead-units", "non-finite"].map((code) => findingJson({ code }));
    expect(said(diagnosisOf([findingJson({ code: "update-too-large", layers: ["8"], effects })]))).toBe(
      "1 problem: updates are too large in layer 8 since step 0, which also explains dead units and NaN or infinite",
    );
  });

  it("is short for many kinds, and calm about notes", () => {
    const codes = ["dead-units", "non-finite", "no-gradient", "gradient-clipping", "some-new-thing"];
    const many = diagnosisOf(codes.map((code) => findingJson({ code })));
    expect(said(many)).toMatch(/^5 problems: .*; and 2 more$/);
    const notes = diagnosisOf([findingJson({ severity: "info" })]);
    expect(said(notes)).toMatch(/^1 note, nothing serious: /);
  });
});

describe("words", () => {
  it("say when", () => {
    expect(whenOf({ firstStep: 3200, lastStep: 400 }, [0, 400])).toBe("since step 3,200");
    expect(whenOf({ firstStep: 7, lastStep: 7 }, [0, 400])).toBe("at step 7");
    expect(whenOf({ firstStep: 7, lastStep: 9 }, [0, 400])).toBe("steps 7 to 9");
    expect(whenOf({ firstStep: 7, lastStep: 9 }, null)).toBe("since step 7");
  });

  it("have a title for what they do not know", () => {
    expect(titleOf("some-new-thing")).toBe("Some new thing");
    expect(countsOf([])).toBe("");
  });

  it("keep the end of a long name", () => {
    expect(shortName("")).toBe("the model");
    expect(shortName("encoder.layers.0.mlp.act")).toBe("encoder.layers.0.mlp.act");
    expect(shortName(`encoder.${"x".repeat(60)}.act`)).toMatch(/^…x+\.act$/);
    expect(shortName(`${"part.".repeat(20)}act`)).toMatch(/^…(part\.)+act$/);
    expect([...shortName("層".repeat(300))]).toHaveLength(48);
  });

  it("set powers of ten", () => {
    expect(typeset("falls 10^-7 times, 2^10, 10^12")).toBe("falls 10⁻⁷ times, 2^10, 10¹²");
  });
});
