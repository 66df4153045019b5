/** Facts of a row as text, for the table, its exact twin, files and the readout. */
import { formatCount, formatShare, formatValue, plural } from "../../base/format";
import type { Parameter } from "../../data/manifest";
import { MISSING } from "../../data/series";
import type { ScaleKind } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";
import type { Cell } from "../gradient/model";
import { type RowFacts, totalsOf } from "./facts";
import type { Vitals } from "./vitals";

const UNITS = ["", " k", " M", " G", " T"];

/** A number of parameters for reading: 9,216, 12.3 k, 86.6 M. */
export function formatSize(count: number): string {
  if (count < 10_000) return formatCount(count);
  const power = Math.min(UNITS.length - 1, Math.floor((Math.log10(count) + 1e-9) / 3));
  const short = Number((count / 1000 ** power).toPrecision(3));
  // 999,999 is 1 M, not 1000 k.
  return short >= 1000 && power < UNITS.length - 1 ? `1${UNITS[power + 1]}` : `${short}${UNITS[power]}`;
}

export const shapeText = (facts: RowFacts): string => facts.layer.shape.join(" × ");

export function typeText({ layer }: RowFacts): string {
  return layer.kind === "function" ? `ƒ ${layer.type}` : layer.type;
}

export const ALL_TRAINED = "all trained";

/** "all trained", "12 % trained", "frozen". */
export function trainedText(parameters: number, trainable: number): string {
  if (parameters === 0) return "";
  if (trainable === 0) return "frozen";
  return trainable === parameters ? ALL_TRAINED : `${formatShare(trainable / parameters)} trained`;
}

export function vitalText(cell: Cell, kind: ScaleKind): string {
  if (cell.state === MISSING) return "–";
  if (Number.isNaN(cell.value)) return "NaN";
  return kind === "share" ? formatShare(cell.value) : formatValue(cell.value);
}

/** "+1,024", "only here"; "" where nothing differs. */
export function differenceText(facts: readonly RowFacts[], node: TreeNode): string {
  const { parameters, otherParameters, here, there } = totalsOf(facts, node.rows);
  const by = parameters - otherParameters;
  const only = (count: number, where: string) =>
    count === 0 ? "" : count === node.rows.length ? `only ${where}` : `${formatCount(count)} only ${where}`;
  const size = by === 0 || here + there === node.rows.length ? "" : `${by > 0 ? "+" : "−"}${formatSize(Math.abs(by))}`;
  return [size, only(here, "here"), only(there, "there")].filter(Boolean).join(", ");
}

/** The model in one sentence. */
export function summary(vitals: Vitals, tree: TreeNode, otherName: string | null): string {
  const { layers, parameters } = vitals.manifest;
  const sizeOf = (some: readonly Parameter[]) =>
    some.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const all = sizeOf(parameters);
  const shown = totalsOf(vitals.facts, tree.rows);
  const parts = [`${plural(layers.length, "layer")}, `];
  if (all === 0) parts.push("no parameters");
  else parts.push(`${formatSize(all)} parameters, ${trainedText(all, sizeOf(parameters.filter((p) => p.trainable)))}`);
  if (all > shown.parameters) parts.push(`; ${formatSize(all - shown.parameters)} of them in modules that did not run`);
  if (otherName !== null && shown.here + shown.there === 0 && shown.parameters === shown.otherParameters) {
    parts.push(`; the same layers and sizes as ${otherName}`);
  } else if (otherName !== null) {
    parts.push(`; ${plural(shown.here, "layer")} only here, ${formatCount(shown.there)} only in ${otherName}`);
  }
  return parts.join("");
}
