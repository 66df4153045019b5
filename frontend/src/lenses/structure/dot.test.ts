import { describe, expect, it } from "vitest";
import { layer } from "../../data/testing";
import { dotOf } from "./dot";
import { manifestOf } from "./testing";

describe("dotOf", () => {
  it("has every layer once, groups as clusters, and the recorded edges", () => {
    const names = ["stem", "h.0.a", "h.0.b", "h.1.a", "h.1.b", "head"];
    const edges = [[0, 1], [1, 2], [0, 3], [2, 3], [4, 5], [5, 99]] as const; // biome-ignore format: pairs
    const text = dotOf(
      manifestOf(
        names.map((n) => layer(n)),
        edges,
      ),
    );
    expect(text.match(/^ *r\d+ \[label=/gm)).toHaveLength(6);
    expect(text.match(/label="h(\.\d)?"/g)).toEqual(['label="h"', 'label="h.0"', 'label="h.1"']);
    expect(text.match(/r\d+ -> r\d+/g)).toEqual(["r0 -> r1", "r1 -> r2", "r0 -> r3", "r2 -> r3", "r4 -> r5"]);
    expect(text.split("{").length).toBe(text.split("}").length);
  });

  it("shows names as they are, whatever is in them", () => {
    const text = dotOf(manifestOf([layer('a"; evil [x="'), layer("back\\"), layer("two\nlines")]));
    expect(text).toContain('r0 [label="a\\"; evil [x=\\"\\nLinear');
    expect(text).toContain('r1 [label="back\\\\\\nLinear');
    expect(text).toContain('r2 [label="two\\nlines\\nLinear');
  });
});
