/**
 * The view as text in the address. Each field is read on its own and falls back on its own: one bad key in an old or
 * mangled link never costs the rest.
 */
import type { AxisKind } from "../base/step_axis";

export interface ViewState {
  readonly run: string | null;
  readonly lens: string | null;
  readonly stat: string | null;
  readonly layer: string | null;
  readonly step: number | null;
  readonly range: readonly [number, number] | null;
  readonly axis: AxisKind;
  readonly table: boolean;
  /** The finding last looked at, as `keyed` names it. */
  readonly finding: string | null;
}

export type Fields = Readonly<Record<string, string>>;

export function parseView(fields: Fields): ViewState {
  return {
    run: fields.run || null,
    lens: fields.lens || null,
    stat: fields.stat || null,
    layer: fields.layer || null,
    step: parseStep(fields.step),
    range: parseRange(fields.steps),
    axis: fields.axis === "log" ? "log" : "linear",
    table: fields.table === "1",
    finding: fields.finding || null,
  };
}

export function formatView(view: ViewState): Fields {
  const fields: Record<string, string> = {};
  if (view.run !== null) fields.run = view.run;
  if (view.lens) fields.lens = view.lens;
  if (view.stat) fields.stat = view.stat;
  if (view.layer) fields.layer = view.layer;
  if (view.step !== null) fields.step = String(view.step);
  if (view.range) fields.steps = `${view.range[0]}:${view.range[1]}`;
  if (view.axis === "log") fields.axis = "log";
  if (view.table) fields.table = "1";
  if (view.finding) fields.finding = view.finding;
  return fields;
}

function parseStep(text: string | undefined): number | null {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null;
}

function parseRange(text: string | undefined): readonly [number, number] | null {
  const match = /^(-?\d+):(-?\d+)$/.exec(text ?? "");
  if (!match) return null;
  const [from, to] = [Number(match[1]), Number(match[2])];
  return from < to ? [from, to] : null;
}

const KEY = /^p\.torchvitals\.(\w+)$/;

/** Our fields in a hash like `#torchvitals&p.torchvitals.run=a`; those of others are left alone. */
export function readHash(hash: string): Fields {
  const fields: Record<string, string> = {};
  for (const part of hash.replace(/^#/, "").split("&")) {
    const cut = part.indexOf("=");
    const key = KEY.exec(cut < 0 ? "" : decode(part.slice(0, cut)))?.[1];
    if (key) fields[key] = decode(part.slice(cut + 1));
  }
  return fields;
}

/** The hash with our fields replaced and everything else kept. */
export function writeHash(hash: string, fields: Fields): string {
  const others = hash
    .replace(/^#/, "")
    .split("&")
    .filter((part) => part !== "" && !KEY.test(decode(part.split("=")[0] ?? "")));
  const ours = Object.entries(fields).map(([key, value]) => `p.torchvitals.${key}=${encodeURIComponent(value)}`);
  return `#${[...others, ...ours].join("&")}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
