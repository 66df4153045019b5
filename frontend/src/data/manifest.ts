/**
 * What the rows of a run are. Parsed field by field: a newer writer may add fields or leave one out, and the page
 * shows what it understands.
 */
import { list, number, numbers, record, text, textOrNull, texts } from "./json";

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
  /** Of the output, as PyTorch names it: "float32". */
  readonly dtype: string | null;
  readonly reachesZero: boolean;
  readonly bounded: boolean;
}

/** "ReLU", "function relu". */
export const typeOf = ({ kind, type }: Layer): string => (kind === "function" ? `function ${type}` : type);

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
  /** Kinds of histogram recorded. */
  readonly histograms: readonly string[];
  readonly units: boolean;
  /** Dataflow between rows of `layers`: from, to. */
  readonly edges: readonly (readonly [number, number])[];
  /** Layer or parameter, and why nothing was measured there. */
  readonly notObserved: ReadonlyMap<string, string>;
  /** What was expected and stayed silent, by kind: names. */
  readonly selfCheck: ReadonlyMap<string, readonly string[]>;
  readonly firstStep: number;
  readonly lastStep: number;
  readonly samples: number;
  /** Sampled steps that a loss scaler skipped. */
  readonly skipped: readonly number[];
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
  const layers = list(data.layers).map(parseLayer);
  return {
    run: text(data.run),
    version: text(data.version),
    layers,
    parameters: list(data.parameters).map(parseParameter),
    statistics: texts(data.statistics),
    histograms: texts(data.histograms),
    units: data.units === true,
    edges: list(data.edges)
      .map(numbers)
      .filter((edge): edge is [number, number] => edge.length === 2 && edge.every((row) => row in layers)),
    notObserved: mapOf(data.not_observed, text),
    selfCheck: mapOf(data.self_check, texts),
    firstStep: number(steps.first),
    lastStep: number(steps.last),
    samples: number(steps.samples),
    skipped: numbers(steps.skipped),
    written: number(gaps.written),
    read: number(gaps.read),
    newerSchema: number(schema.run, 1) > number(schema.reader, 1),
  };
}

function mapOf<T>(json: unknown, parse: (v: unknown) => T): Map<string, T> {
  return new Map(Object.entries(record(json)).map(([key, v]) => [key, parse(v)]));
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
    dtype: textOrNull(row.dtype),
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
