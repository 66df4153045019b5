import { describe, expect, it } from "vitest";
import { lifeInWords } from "../lenses/dead/life_words";
import { livesOf, lostIds, unitOrder } from "./lives";
import { lifeStates, type UnitData } from "./units";

/** `firing[u]`: a letter per record: "x" fires, "." silent, "-" the layer did not run (for all alike). */
function dataOf(firing: readonly string[], dead: readonly number[], stride = 10): UnitData {
  const records = firing[0]?.length ?? 0;
  const levels = new Uint8Array(records * firing.length);
  firing.forEach((life, u) => {
    [...life].forEach((mark, r) => {
      levels[r * firing.length + u] = mark === "x" ? 9 : 0;
    });
  });
  return {
    layer: "act",
    window: 2000,
    steps: Float64Array.from({ length: records }, (_, r) => (r + 1) * stride),
    observations: Float64Array.from({ length: records }, (_, r) => (firing[0]?.[r] === "-" ? 0 : 500)),
    records,
    units: firing.length,
    firing: levels,
    magnitude: levels.map((level) => (level > 0 ? 11 : 5)),
    firingLevels: [0, 3e-5, 3e-4, 3e-3, 0.02, 0.06, 0.15, 0.28, 0.42, 0.58],
    magnitudeLevels: [0, ...Array.from({ length: 15 }, (_, i) => 2 ** (i - 10))],
    lastFired: new Float64Array(firing.length),
    dead: Uint8Array.from(dead),
  };
}

const data = dataOf(
  ["xx-xxxxx", "..-.....", "x.-x.x..", "..-xx...", "xx-....x", "xx-xxx..", "x.-x.x.x"],
  [0, 1, 0, 1, 0, 1, 0],
);
const states = lifeStates(data, false);
const say = (unit: number) => lifeInWords(data, states, unit, false);

describe("a life in words", () => {
  it("tells birth, silences, revivals and death", () => {
    expect(say(0)).toBe("born alive, never silent; active to the last record");
    expect(say(1)).toBe("born dead, never active in 7 records");
    expect(say(2)).toBe(
      "born alive, silent steps 11–20, revived, silent steps 41–50, revived, silent since step 61, " +
        "too short a time to call it dead; last active step 60",
    );
    expect(say(3)).toBe("born silent, first active after step 20, dead since step 51; last active step 50");
    expect(say(4)).toBe("born alive, silent steps 31–70, revived; active to the last record");
    expect(say(5)).toBe("born alive, dead since step 61; last active step 60");
  });

  it("counts many silences, and names a single step", () => {
    const restless = dataOf(["x.x.x.x.x", ".x.x.x.x."], [0, 0], 1);
    const own = lifeStates(restless, false);
    expect(lifeInWords(restless, own, 0, false)).toBe(
      "born alive, silent 4 times in steps 2–8, revived each time; active to the last record",
    );
    expect(lifeInWords(restless, own, 1, false)).toBe(
      "born silent, silent 4 times up to step 7, revived each time, silent since step 9, " +
        "too short a time to call it dead; last active step 8",
    );
    const once = dataOf(["x.x"], [0], 1);
    expect(lifeInWords(once, lifeStates(once, false), 0, false)).toBe(
      "born alive, silent at step 2, revived; active to the last record",
    );
  });

  it("speaks of dormancy where nothing is exactly zero", () => {
    const own = lifeStates(data, true);
    expect(lifeInWords(data, own, 4, true)).toBe(
      "born alive, dormant steps 31–70, recovered; active to the last record",
    );
    expect(lifeInWords(data, own, 5, true)).toBe("born alive, dormant since step 61; last active step 60");
  });

  it("says when the layer never ran", () => {
    const idle = dataOf(["--"], [0]);
    expect(lifeInWords(idle, lifeStates(idle, false), 0, false)).toMatch(/never ran$/);
  });
});

describe("the order of units", () => {
  const lives = livesOf(data, states, false);

  it("knows quiet records, revivals and the present silence", () => {
    expect([...lives.quiet]).toEqual([0, 7, 4, 5, 4, 2, 3]);
    expect([...lives.revivals]).toEqual([0, 0, 2, 1, 1, 0, 3]);
    expect([...lives.fell]).toEqual([-1, 0, 6, 5, -1, 6, -1]);
  });

  it("puts the dead first by when they fell silent, then the silent, then the quiet living", () => {
    expect([...unitOrder(data, lives, "died", false)]).toEqual([1, 3, 5, 2, 4, 6, 0]);
    expect(lostIds(data, lives, false)).toEqual([1, 3, 5]);
  });

  it("sorts by index, silence and revivals", () => {
    expect([...unitOrder(data, lives, "index", false)]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([...unitOrder(data, lives, "silent", false)].slice(0, 2)).toEqual([1, 3]);
    expect([...unitOrder(data, lives, "revivals", false)].slice(0, 2)).toEqual([6, 2]);
  });

  it("counts the dormant as lost where nothing is exactly zero", () => {
    const own = livesOf(data, lifeStates(data, true), true);
    expect(lostIds(data, own, true)).toEqual([1, 2, 3, 5]);
    expect([...unitOrder(data, own, "died", true)].slice(0, 4)).toEqual([1, 3, 2, 5]);
  });
});
