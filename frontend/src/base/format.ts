/**
 * Numbers as text. Two audiences: eyes (short, three digits) and tests, tables and files (exact to the float32).
 */

const THOUSANDS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** 12345 -> "12,345". */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? THOUSANDS.format(value) : "–";
}

/** -8 -> "⁻⁸". */
export function superscript(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((d) => SUPERSCRIPT[Number(d)]).join("");
  return exponent < 0 ? `⁻${digits}` : digits;
}

/** -8 -> "10⁻⁸", as ticks have it. */
export function powerOfTen(exponent: number): string {
  return exponent === 0 ? "1" : exponent === 1 ? "10" : `10${superscript(exponent)}`;
}

/** A value for reading: three significant digits, exponents outside 0.01 … 10,000. */
export function formatValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Inf" : "−Inf";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size >= 1e-2 && size < 1e4) return sign + trimZeros(size.toPrecision(3));
  const [mantissa, exponent] = size.toExponential(2).split("e");
  return `${sign}${mantissa}e${exponent?.replace("+", "").replace("-", "−")}`;
}

function trimZeros(text: string): string {
  if (text.includes("e")) return String(Number(text));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** The shortest decimal that reads back as the same float32. Plain ASCII: for tables and files. */
export function formatExact(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Inf" : "-Inf";
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

/** A share for reading. Only 0 is "0 %" and only 1 is "100 %": a small share never rounds to none. */
export function formatShare(share: number): string {
  if (Number.isNaN(share)) return "–";
  if (share === 0) return "0 %";
  if (share === 1) return "100 %";
  const percent = share * 100;
  if (percent < 0.1) return "< 0.1 %";
  if (percent > 99.9) return "> 99.9 %";
  return `${percent < 10 ? trimZeros(percent.toFixed(1)) : Math.min(99, Math.round(percent))} %`;
}

/** A ratio for reading; what is something against nothing is "∞ ×". */
export function formatRatio(ratio: number): string {
  return `${ratio > 3e38 ? "∞" : formatValue(ratio)} ×`;
}

/** A difference of shares in percentage points. */
export function formatPoints(share: number): string {
  if (Number.isNaN(share)) return "–";
  return `${share > 0 ? "+" : ""}${formatValue(share * 100)} pp`;
}

/** 1, "layer" -> "1 layer"; 2 -> "2 layers". */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
