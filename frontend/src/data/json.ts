/** Reading JSON field by field: what is missing or of another kind becomes a plain value, and nothing throws. */
export type Json = Readonly<Record<string, unknown>>;

export const record = (v: unknown): Json => (typeof v === "object" && v !== null ? (v as Json) : {});
export const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : []);
/** Of a list, what is an object. */
export const records = (v: unknown): Json[] =>
  list(v).filter((entry) => typeof entry === "object" && entry !== null) as Json[];
export const text = (v: unknown): string => (typeof v === "string" ? v : "");
export const textOrNull = (v: unknown): string | null => (typeof v === "string" ? v : null);
export const texts = (v: unknown): string[] => list(v).map(text);
export const number = (v: unknown, fallback = 0): number => (typeof v === "number" ? v : fallback);
export const numbers = (v: unknown): number[] => list(v).filter((n): n is number => typeof n === "number");
