import { beforeEach, describe, expect, it } from "vitest";
import { readHash, writeHash } from "./url_state";
import * as view from "./view";

const VIEW = {
  run: "a&b=c/ü #1",
  versus: "b/ö",
  lens: "dead",
  stat: "gradient/rms",
  layer: "enc.0/relu@1",
  unit: 37,
  step: -4100,
  range: [100, 9800],
  table: true,
  inspector: true,
  finding: "dead-units:enc.0/relu@1",
  axis: "log",
} as const;
const { run, versus, lens, stat, layer, unit, step, range, table, inspector, finding, axis } = view;
const SIGNALS = { run, versus, lens, stat, layer, unit, step, range, table, inspector, finding, axis };

const seen = () => Object.fromEntries(Object.entries(SIGNALS).map(([name, { value }]) => [name, value]));

function set(values: Readonly<Record<string, unknown>>) {
  for (const [name, part] of Object.entries(SIGNALS)) part.value = values[name] as never;
}

/** As when the page is opened at this address. */
function open(hash: string) {
  location.hash = hash;
  view.connectAddress();
  return seen();
}

describe("the view in the address", () => {
  const untouched = seen();
  beforeEach(() => set(untouched));

  it("survives a round trip, any name included", () => {
    set(VIEW);
    const { hash } = new URL(view.shareableAddress());
    set(untouched);
    expect(open(hash)).toEqual(VIEW);
  });

  it("leaves alone what belongs to others", () => {
    const hash = writeHash("#torchvitals&p.other.x=1&p.torchvitals.run=old&tagFilter=a", { run: "new" });
    expect(hash).toBe("#torchvitals&p.other.x=1&tagFilter=a&p.torchvitals.run=new");
    expect(writeHash(hash, {})).toBe("#torchvitals&p.other.x=1&tagFilter=a");
    expect(readHash(hash)).toEqual({ run: "new" });
  });

  it("loses only the field that is broken", () => {
    unit.value = 3;
    const hash =
      "#x&p.torchvitals.step=nan&p.torchvitals.steps=9:3&p.torchvitals.unit=-1&p.torchvitals.axis=polar&p.torchvitals.run=%E0%A4%A&p.torchvitals.lens=dead";
    expect(open(hash)).toEqual({ ...untouched, run: "%E0%A4%A", lens: "dead" });
  });

  it("takes an empty address, in which the run on screen stays", () => {
    set(VIEW);
    expect(open("")).toEqual({ ...untouched, run: VIEW.run });
  });

  it("is the same range as long as its steps are", () => {
    range.value = [1, 2];
    const before = range.value;
    expect(open("#p.torchvitals.steps=1:2").range).toBe(before);
  });
});
