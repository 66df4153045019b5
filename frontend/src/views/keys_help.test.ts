import { describe, expect, it } from "vitest";
import { partsOf } from "./keys_help";

describe("the list of keys", () => {
  it("begins with what works everywhere, joins parts of one title and says nothing twice", () => {
    const row = { keys: ["ArrowUp"], text: "Previous row" };
    const step = { keys: ["["], text: "Previous step" };
    const help = { keys: ["?"], text: "This list" };
    const parts = partsOf([
      { title: "Rows", notes: [row] },
      { title: "Rows", notes: [row, step] },
      { title: "Everywhere", notes: [help] },
    ]);
    expect(parts).toEqual([
      ["Everywhere", [help]],
      ["Rows", [row, step]],
    ]);
  });
});
