import { describe, expect, it } from "vitest";
import { stepAxis } from "../base/step_axis";
import { curveOf } from "../lenses/gradient/draw_scalars";
import { parseScalars, recordAt } from "./scalars";
import { container } from "./testing";

const { NaN: nan } = Number;
const column = (...numbers: number[]) => [Float64Array.from(numbers), numbers.length] as const;

const data = parseScalars(
  container(
    { steps: column(0, 10, 20, 1, 2, 7), at: column(0, 10, 20, 4.5, 9.5, nan), values: column(3, 2, 1, 0.1, 0.1, 9) },
    {
      scalars: [{ name: "loss", kind: "loss" }, { name: "lr", kind: "rate" }, { name: "x", kind: "new" }, 3],
      shown: [
        { name: "loss", by: "step", count: 3 },
        { name: "lr", by: "time", count: 2 },
        { name: "x", by: "none", count: 1 },
      ],
    },
  ),
);

describe("scalars", () => {
  it("come one after the other", () => {
    expect(data.offered.map((o) => o.kind)).toEqual(["loss", "rate", "other"]);
    expect(data.shown.map((s) => [s.name, s.by, ...s.at])).toEqual([
      ["loss", "step", 0, 10, 20],
      ["lr", "time", 4.5, 9.5],
      ["x", "none", nan],
    ]);
    const [loss, rate, lost] = data.shown;
    if (!loss || !rate || !lost) throw new Error("not three");
    expect([-1, 0, 9, 10, 99].map((step) => recordAt(loss, step))).toEqual([-1, 0, 0, 1, 2]);
    expect([4, 5].map((step) => recordAt(rate, step))).toEqual([-1, 0]);
    expect(recordAt(lost, 7)).toBe(-1);
  });

  it("are drawn on a scale that fits what is in view, with a record beyond each edge", () => {
    const [loss, rate, lost] = data.shown;
    if (!loss || !rate || !lost) throw new Error("not three");
    expect(curveOf(loss, stepAxis("linear", 12, 15))).toMatchObject({ from: 1, to: 3, kind: "linear" });
    expect(curveOf(rate, stepAxis("linear", 0, 20))?.scale.unit(0.1)).toBe(0.5);
    expect(curveOf(lost, stepAxis("linear", 0, 20))).toBeNull();
    const falling = { ...loss, values: Float64Array.of(100, Number.POSITIVE_INFINITY, 1) };
    expect(curveOf(falling, stepAxis("linear", 0, 20))).toMatchObject({ kind: "log", scale: { low: 1, high: 100 } });
  });
});
