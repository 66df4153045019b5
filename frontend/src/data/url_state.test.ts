import { describe, expect, it } from "vitest";
import { formatView, parseView, readHash, type ViewState, writeHash } from "./url_state";

const VIEW: ViewState = {
  run: "a&b=c/ü #1",
  lens: "dead",
  stat: "gradient/rms",
  layer: "enc.0/relu@1",
  step: 4100,
  range: [100, 9800],
  axis: "log",
  table: true,
  finding: "dead-units:enc.0/relu@1",
};

describe("the view in the address", () => {
  it("survives a round trip, any name included", () => {
    expect(parseView(readHash(writeHash("#torchvitals", formatView(VIEW))))).toEqual(VIEW);
  });

  it("leaves alone what belongs to others", () => {
    const hash = writeHash("#torchvitals&p.other.x=1&p.torchvitals.run=old&tagFilter=a", { run: "new" });
    expect(hash).toBe("#torchvitals&p.other.x=1&tagFilter=a&p.torchvitals.run=new");
    expect(writeHash(hash, {})).toBe("#torchvitals&p.other.x=1&tagFilter=a");
  });

  it("loses only the field that is broken", () => {
    const fields = readHash(
      "#x&p.torchvitals.step=nan&p.torchvitals.steps=9:3&p.torchvitals.run=%E0%A4%A&p.torchvitals.lens=dead",
    );
    expect(parseView(fields)).toMatchObject({ step: null, range: null, run: "%E0%A4%A", lens: "dead", axis: "linear" });
  });

  it("takes an empty address", () => {
    expect(parseView(readHash(""))).toMatchObject({ run: null, lens: null, table: false, finding: null });
  });
});
