import { expect, it } from "vitest";
import { csvLine, fileStem } from "./csv";

it("quotes what would break a line, and defuses formulas", () => {
  expect(csvLine(["a,b", 'say "x"', "two\nlines", -1.5, "=HYPERLINK(1)", "-1.5", "-2+3|cmd"])).toBe(
    '"a,b","say ""x""","two\nlines",-1.5,\'=HYPERLINK(1),-1.5,\'-2+3|cmd',
  );
});

it("makes a file name of any run", () => {
  expect(fileStem("torchvitals", "../a b/ü", "gradient/rms")).toBe("torchvitals-.._a_b_-gradient_rms");
});
