import { describe, expect, it } from "vitest";
import { type Colours, DARK, LIGHT } from "./theme";

/** What text is set in, and what it may stand on. */
const TEXTS: readonly (keyof Colours)[] = ["text", "muted", "accent", "critical", "warning", "good"];
const SURFACES: readonly (keyof Colours)[] = ["page", "raised", "hover", "selected"];
const ON_SOFT: readonly (keyof Colours)[] = ["text", "muted", "critical", "warning", "good"];
const SOFT: readonly (keyof Colours)[] = ["criticalSoft", "warningSoft", "goodSoft"];

/** WCAG 2.2, "contrast ratio". */
function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const sheets = import.meta.glob<string>("./styles/*.css", { query: "?raw", import: "default", eager: true });

describe.each([
  ["light", LIGHT],
  ["dark", DARK],
])("%s", (_, colours) => {
  it("has 4.5:1 between every text and every surface it may stand on", () => {
    const pairs = [
      ...TEXTS.flatMap((ink) => SURFACES.map((paper) => [ink, paper] as const)),
      ...ON_SOFT.flatMap((ink) => SOFT.map((paper) => [ink, paper] as const)),
      ["onAccent", "accent"] as const,
      ["page", "text"] as const,
    ];
    const poor = pairs.filter(([ink, paper]) => contrast(colours[ink], colours[paper]) < 4.5);
    expect(
      poor.map(([ink, paper]) => `${ink} on ${paper} ${contrast(colours[ink], colours[paper]).toFixed(2)}`),
    ).toEqual([]);
  });

  it("has 3:1 for what is no text but has to be seen", () => {
    for (const ink of ["accent", "hatchInk", "silent"] as const) {
      expect(contrast(colours[ink], colours.page)).toBeGreaterThan(3);
    }
  });
});

describe("the style sheet", () => {
  it("uses no colour but those of the theme, apart from shades and the colours of runs", () => {
    const strays = Object.entries(sheets).flatMap(([file, text]) =>
      [...text.matchAll(/^.*#[0-9a-f]{3,8}\b.*$/gim)].map(([line]) => `${file}: ${line.trim()}`),
    );
    expect(strays.filter((line) => !/header\.css: background: #/.test(line))).toEqual([]);
  });

  it("moves nothing", () => {
    expect(Object.keys(sheets).length).toBeGreaterThan(10);
    for (const text of Object.values(sheets)) expect(text).not.toMatch(/\b(transition|animation)\b|scroll-behavior/);
  });
});
