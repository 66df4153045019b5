import { describe, expect, it } from "vitest";
import { sentenceOf } from "./evidence_words";
import { overDepth, plotOf } from "./plot";
import { diagnosisOf, evidenceJson, findingJson, type Json } from "./testing";

const BOX = { width: 200, height: 100, left: 40, right: 10, top: 10, bottom: 10 };
const evidence = (more: Json) => {
  const piece = diagnosisOf([findingJson({ evidence: [evidenceJson(more)] })]).findings[0]?.evidence[0];
  if (!piece) throw new Error("no evidence");
  return piece;
};
const numbers = (path: string) => (path.match(/-?[\d.]+/g) ?? []).map(Number);

describe("a plot of evidence", () => {
  it("runs over the steps, on a logarithmic axis, with the deciding row in front", () => {
    const rows = {
      rows: ["a", "b"],
      steps: [0, 10, 40],
      values: [
        [1, 2],
        [0.1, 2],
        [0.01, 2],
      ],
    };
    const plot = plotOf(evidence(rows), false, BOX);
    expect(plot.lines.map((l) => [l.of, l.main])).toEqual([
      [1, false],
      [0, true],
    ]);
    const [x0, y0, x1, y1, x2, y2] = numbers(plot.lines[1]?.path ?? "");
    expect([x0, x1, x2]).toEqual([40, 77.5, 190]);
    expect((y1 ?? 0) - (y0 ?? 0)).toBeCloseTo((y2 ?? 0) - (y1 ?? 0), 0);
  });

  it("breaks lines where nothing was measured, and marks what is not finite", () => {
    const values = [[1], [null], [2], [null], [3], [4], ["inf"]];
    const plot = plotOf(evidence({ steps: [0, 1, 2, 3, 4, 5, 6], values }), false, BOX);
    expect(plot.lines[0]?.path.match(/M/g)).toHaveLength(1);
    expect(plot.lines[0]?.dots).toHaveLength(2);
    expect(plot.broken).toEqual([{ x: 190, y: 10 }]);
  });

  it("puts zeros below what has a logarithm, and labels them", () => {
    const plot = plotOf(evidence({ values: [[1], [0]] }), false, BOX);
    expect(numbers(plot.lines[0]?.path ?? "")[3]).toBeGreaterThan(BOX.height - BOX.bottom);
    expect(plot.ticks[0]?.label).toBe("0");
  });

  it("runs over the depth for many rows in order, one line a step, the last one in front", () => {
    const rows = ["a", "b", "c", "d", "e"];
    const order = new Map(rows.map((name, i) => [name, i]));
    const piece = evidence({
      rows,
      values: [
        [1, 2, 3, 4, 5],
        [1e-4, 1e-3, 1e-2, 0.1, 1],
      ],
      expected: [1, 1, 1, 1, 1],
    });
    expect(overDepth(piece, order)).toBe(true);
    expect(overDepth(piece, new Map([...order].reverse().map(([name], i) => [name, i])))).toBe(false);
    expect(overDepth(evidence({ rows: ["a", "b"], steps: [3], values: [[1, 2]] }), order)).toBe(true);
    const plot = plotOf(piece, true, BOX);
    expect(plot.lines.map((l) => l.of)).toEqual([0, 1]);
    expect(plot.lines[1]?.main).toBe(true);
    expect(numbers(plot.expected?.line ?? "")).toHaveLength(10);
    expect(sentenceOf(piece, true)).toBe("Gradient rms at step 10: 1.00e−4 in a, 1 in e; expected 1");
  });

  it("draws what is expected over the steps as a band", () => {
    const plot = plotOf(
      evidence({
        rows: ["a", "b"],
        values: [
          [1, 1],
          [2, 2],
        ],
        expected: [0.1, 10],
      }),
      false,
      BOX,
    );
    const [, high, , low] = numbers(plot.expected?.area ?? "");
    expect(high).toBe(BOX.top);
    expect(low).toBe(BOX.height - BOX.bottom);
    const thin = plotOf(evidence({ expected: [1] }), false, BOX).expected;
    expect(thin?.area).not.toBe("");
    expect(plotOf(evidence({ expected: [null] }), false, BOX).expected).toBeNull();
  });

  it("takes nothing, one step, and many rows", () => {
    expect(plotOf(evidence({ rows: [], steps: [], values: [] }), false, BOX).lines).toEqual([]);
    expect(plotOf(evidence({ steps: [5], values: [[3]] }), false, BOX).lines[0]?.dots).toHaveLength(1);
    const rows = Array.from({ length: 300 }, (_, i) => `l${i}`);
    const many = evidence({ rows, steps: [0, 1], values: [rows.map(() => 1), rows.map(() => 2)] });
    expect(plotOf(many, false, BOX).lines.length).toBeLessThanOrEqual(11);
  });

  it("is said in a sentence", () => {
    const piece = evidence({ expected: [1] });
    expect(sentenceOf(piece, false)).toBe("Gradient rms of a: 1 at step 0, 0.1 at step 10; expected 1");
    const share = evidence({
      statistic: "activation/dead_fraction",
      rows: ["a", "b"],
      values: [
        [0.1, 0],
        [null, 0],
      ],
    });
    expect(sentenceOf(share, false)).toBe(
      "Silent units of a: 10 % at step 0, not measured at step 10; 1 other layer drawn as well",
    );
    expect(sentenceOf(evidence({ rows: [], steps: [], values: [] }), false)).toBe("Gradient rms: no values");
  });
});
