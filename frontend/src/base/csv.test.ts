import { expect, it } from "vitest";
import { csvLine, fileName } from "./csv";

it("quotes what would break a line, and defuses formulas", () => {
  expect(csvLine(["a,b", 'say "x"', "two\nlines", -1.5, "=HYPERLINK(1)"])).toBe(
    '"a,b","say ""x""","two\nlines",-1.5,\'=HYPERLINK(1)',
  );
});

it("makes a file name of any run", () => {
  expect(fileName("torchvitals", "../a b/ü", "gradient/rms")).toBe("torchvitals-.._a_b_-gradient_rms.csv");
});
