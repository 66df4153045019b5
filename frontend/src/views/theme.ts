/**
 * Every colour of the page, once. The style sheet gets them as custom properties, canvases as they are.
 * Text colours keep 4.5:1 on the surfaces they stand on.
 */
import { type Signal, signal } from "@preact/signals";
import { packHex, type Ramps, rampsFor } from "../base/ramps";
import { watchDarkMode } from "../data/host";

export interface Colours {
  /** Page, raised strips, hovered and selected rows. */
  readonly page: string;
  readonly raised: string;
  readonly hover: string;
  readonly selected: string;
  /** Hairlines: between parts, within a part. */
  readonly line: string;
  readonly hairline: string;
  readonly text: string;
  readonly muted: string;
  readonly accent: string;
  readonly onAccent: string;
  /** The second of two curves or runs. */
  readonly second: string;
  readonly critical: string;
  readonly criticalSoft: string;
  readonly warning: string;
  readonly warningSoft: string;
  readonly good: string;
  readonly goodSoft: string;
  /** Canvas: exactly zero; the stripes of non-finite; the checker of not measured. */
  readonly zero: string;
  readonly hatchInk: string;
  readonly hatchPaper: string;
  readonly checkInk: string;
  readonly checkPaper: string;
  /** Life lines: quiet to loud. */
  readonly alive: string;
  readonly rare: string;
  readonly silent: string;
}

export const LIGHT: Colours = {
  page: "#ffffff",
  raised: "#f6f7f9",
  hover: "#eef1f5",
  selected: "#e1ecfa",
  line: "#d5dae1",
  hairline: "#e8ebef",
  text: "#1c2128",
  muted: "#57606b",
  accent: "#0a5cc2",
  onAccent: "#ffffff",
  second: "#b35200",
  critical: "#b3242b",
  criticalSoft: "#fdecec",
  warning: "#8a5300",
  warningSoft: "#fdf3df",
  good: "#1b7a3d",
  goodSoft: "#e9f6ed",
  zero: "#d9dce1",
  hatchInk: "#c01650",
  hatchPaper: "#ffdfe9",
  checkInk: "#e9ecf0",
  checkPaper: "#ffffff",
  alive: "#dfe8ee",
  rare: "#e3a23c",
  silent: "#3a2340",
};

export const DARK: Colours = {
  page: "#1f2124",
  raised: "#27292d",
  hover: "#2d3035",
  selected: "#263a54",
  line: "#3d4147",
  hairline: "#303338",
  text: "#e6e8eb",
  muted: "#a3abb5",
  accent: "#7db4f5",
  onAccent: "#10233a",
  second: "#f2a65a",
  critical: "#ff8a85",
  criticalSoft: "#43272a",
  warning: "#f0b354",
  warningSoft: "#3f3320",
  good: "#6fce8f",
  goodSoft: "#1f3527",
  zero: "#43464c",
  hatchInk: "#ff5c93",
  hatchPaper: "#4a1428",
  checkInk: "#2b2e32",
  checkPaper: "#1f2124",
  alive: "#2e3c47",
  rare: "#b0741a",
  silent: "#d483ab",
};

export interface Theme {
  readonly dark: boolean;
  readonly colours: Colours;
  readonly ramps: Ramps;
  /** `colours.zero` as a pixel. */
  readonly zeroPixel: number;
}

function make(dark: boolean): Theme {
  const colours = dark ? DARK : LIGHT;
  return { dark, colours, ramps: rampsFor(dark), zeroPixel: packHex(colours.zero) };
}

export const theme: Signal<Theme> = signal(make(false));

export function connectTheme(): void {
  watchDarkMode((dark) => {
    theme.value = make(dark);
    const root = document.documentElement;
    root.dataset.theme = dark ? "dark" : "light";
    root.style.setProperty("--font", FONT);
    root.style.colorScheme = dark ? "dark" : "light";
    for (const [name, colour] of Object.entries(theme.peek().colours)) {
      root.style.setProperty(`--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, colour as string);
    }
  });
}

/** The font of all text, on canvases too. */
export const FONT = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
