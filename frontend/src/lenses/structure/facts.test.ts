import { describe, expect, it } from "vitest";
import { layer } from "../../data/testing";
import { factsOf, totalsOf } from "./facts";
import { manifestOf, weight } from "./testing";
import { formatSize, trainedText } from "./words";

const here = manifestOf(
  [layer("a"), layer("b"), layer("b/relu"), layer("b@1"), layer("c")],
  [],
  [weight("a.weight"), weight("a.bias", [8], false), weight("b.weight"), weight("never.ran.weight")],
);

describe("factsOf", () => {
  it("gives parameters to the first call of their module, once", () => {
    const facts = factsOf(here);
    expect(facts.map((f) => f.parameters)).toEqual([40, 32, 0, 0, 0]);
    expect(facts.map((f) => f.trainable)).toEqual([32, 32, 0, 0, 0]);
    expect(facts.map((f) => f.parameterRows)).toEqual([[0, 1], [2], [], [], []]);
    expect(facts.map((f) => f.calls)).toEqual([1, 2, 1, 2, 1]);
    expect(totalsOf(facts, [0, 1])).toMatchObject({ parameters: 72, trainable: 64 });
  });

  it("puts what only the other run has where it runs there", () => {
    const there = manifestOf(
      [layer("first"), layer("a"), layer("new"), layer("newer"), layer("c")],
      [],
      [weight("a.weight", [2, 2])],
    );
    const facts = factsOf(here, there);
    expect(facts.map((f) => [f.layer.name, f.where, f.row])).toEqual([
      ["first", "there", -1],
      ["a", "both", 0],
      ["new", "there", -1],
      ["newer", "there", -1],
      ["b", "here", 1],
      ["b/relu", "here", 2],
      ["b@1", "here", 3],
      ["c", "both", 4],
    ]);
    expect(facts[1]?.otherParameters).toBe(4);
    expect(totalsOf(facts, [0, 1, 2, 4])).toMatchObject({ parameters: 72, otherParameters: 4, here: 1, there: 2 });
  });
});

describe("words", () => {
  it("shortens large counts, and never to a thousand of a unit", () => {
    expect([0, 9999, 12_345, 999_999, 86_567_656, 1.5e9].map(formatSize)).toEqual([
      "0",
      "9,999",
      "12.3 k",
      "1 M",
      "86.6 M",
      "1.5 G",
    ]);
  });

  it("says what is trained", () => {
    expect([trainedText(10, 10), trainedText(10, 0), trainedText(1000, 1)]).toEqual([
      "all trained",
      "frozen",
      "0.1 % trained",
    ]);
  });
});
