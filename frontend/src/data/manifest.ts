/**
 * What the rows of a run are. Parsed field by field: a newer writer may add fields or leave one out, and the page
 * shows what it understands.
 */
export interface Layer {
  readonly name: string;
  readonly kind: "module" | "function";
  readonly type: string;
  readonly function: string | null;
  readonly parent: string;
  readonly call: number;
  readonly shape: readonly number[];
  readonly units: number | null;
  readonly source: string | null;
  readonly reachesZero: boolean;
  readonly bounded: boolean;
}

export interface Parameter {
  readonly name: string;
  readonly layer: string;
  readonly shape: readonly number[];
  readonly trainable: boolean;
}

export interface Manifest {
  readonly run: string;
  readonly version: string;
  readonly layers: readonly Layer[];
  readonly parameters: readonly Parameter[];
  readonly statistics: readonly string[];
  readonly units: boolean;
  readonly notObserved: ReadonlyMap<string, string>;
  readonly firstStep: number;
  readonly lastStep: number;
  readonly samples: number;
  readonly written: number;
  readonly read: number;
  readonly newerSchema: boolean;
}

export interface RunInfo {
  readonly name: string;
  readonly version: string;
  readonly lastStep: number;
}

export interface Runs {
  readonly runs: readonly RunInfo[];
  readonly samplesKept: number;
}

type Json = Readonly<Record<string, unknown>>;

const record = (v: unknown): Json => (typeof v === "object" && v !== null ? (v as Json) : {});
const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : []);
const text = (v: unknown, fallback = ""): string => (typeof v === "string" ? v : fallback);
const textOrNull = (v: unknown): string | null => (typeof v === "string" ? v : null);
const number = (v: unknown, fallback = 0): number => (typeof v === "number" ? v : fallback);
const numbers = (v: unknown): number[] => list(v).filter((n): n is number => typeof n === "number");

export function parseRuns(json: unknown): Runs {
  const data = record(json);
  const runs = list(data.runs).map((entry) => {
    const run = record(entry);
    return { name: text(run.name), version: text(run.version), lastStep: number(run.last_step) };
  });
  return { runs, samplesKept: number(data.samples_kept) };
}

export function parseManifest(json: unknown): Manifest {
  const data = record(json);
  const steps = record(data.steps);
  const gaps = record(data.gaps);
  const schema = record(data.schema);
  return {
    run: text(data.run),
    version: text(data.version),
    layers: list(data.layers).map(parseLayer),
    parameters: list(data.parameters).map(parseParameter),
    statistics: list(data.statistics).map((s) => text(s)),
    units: data.units === true,
    notObserved: new Map(Object.entries(record(data.not_observed)).map(([k, v]) => [k, text(v)])),
    firstStep: number(steps.first),
    lastStep: number(steps.last),
    samples: number(steps.samples),
    written: number(gaps.written),
    read: number(gaps.read),
    newerSchema: number(schema.run, 1) > number(schema.reader, 1),
  };
}

function parseLayer(json: unknown): Layer {
  const row = record(json);
  return {
    name: text(row.name),
    kind: row.kind === "function" ? "function" : "module",
    type: text(row.type),
    function: textOrNull(row.function),
    parent: text(row.parent),
    call: number(row.call),
    shape: numbers(row.shape),
    units: typeof row.units === "number" ? row.units : null,
    source: textOrNull(row.source),
    reachesZero: row.reaches_zero === true,
    bounded: row.bounded === true,
  };
}

function parseParameter(json: unknown): Parameter {
  const row = record(json);
  return {
    name: text(row.name),
    layer: text(row.layer),
    shape: numbers(row.shape),
    trainable: row.trainable !== false,
  };
}
