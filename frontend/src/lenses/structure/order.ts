/** The table's columns and its order: execution, or by a column, and then without groups. */
import { type TreeNode, type VisibleRow, visibleRows } from "../../data/tree";
import * as view from "../../data/view";

/** In the order of the page; `number`: aligned at the right. */
export const COLUMNS = [
  { id: "name", text: "Layer", number: false, title: "Name, as in the model" },
  { id: "found", text: "Finding", number: false, title: "What the diagnosis found" },
  { id: "type", text: "Type", number: false, title: "Class of the module, or the activation called as a function" },
  { id: "output", text: "Output", number: false, title: "Shape of the output in the first sampled step" },
  {
    id: "parameters",
    text: "Parameters",
    number: true,
    title: "Numbers in its own weights",
  },
  { id: "calls", text: "Calls", number: true, title: "Calls in one forward pass" },
  { id: "gradient", text: "Gradient", number: true, title: "Gradient rms at the cursor step" },
  { id: "activation", text: "Activation", number: true, title: "Activation rms at the cursor step" },
  { id: "update", text: "Update", number: true, title: "Update ratio at the cursor step, the worst of its parameters" },
  { id: "dead", text: "Dead", number: true, title: "Share of units dead now" },
  {
    id: "broken",
    text: "NaN since",
    number: true,
    title: "First step with a gradient or an output that was not finite",
  },
  { id: "source", text: "Source", number: false, title: "Where the model makes this call" },
] as const;

export type Column = (typeof COLUMNS)[number]["id"];

export const sort = view.choice<Column | "order">("sort", ["order", ...COLUMNS.map(({ id }) => id)]);
/** Usual: text from A, numbers from the largest, a step from the first. */
export const direction = view.choice("sorted", ["usual", "reversed"]);

/** The next state of a column that is clicked: usual, reversed, execution order again. */
export function sortBy(column: Column): void {
  const again = sort.peek() === column;
  const third = again && direction.peek() === "reversed";
  sort.value = third ? "order" : column;
  direction.value = again && !third ? "reversed" : "usual";
}

/** What a leaf is sorted by; NaN and "" come last whatever the direction. */
export type Rank = string | number;

const RISING: ReadonlySet<Column> = new Set(["name", "type", "source", "broken"]);

export function sorted(leaves: readonly TreeNode[], column: Column, reversed: boolean, rank: (n: TreeNode) => Rank) {
  const sign = RISING.has(column) === reversed ? -1 : 1;
  const ranks = new Map(leaves.map((node) => [node, rank(node)]));
  const absent = (r: Rank) => Number(r === "" || Number.isNaN(r));
  // Stable: what is alike stays in execution order.
  return [...leaves].sort((one, other) => {
    const [a, b] = [ranks.get(one) as Rank, ranks.get(other) as Rank];
    if (absent(a) || absent(b)) return absent(a) - absent(b);
    return sign * (typeof a === "string" ? a.localeCompare(String(b), "en", { numeric: true }) : a - Number(b));
  });
}

/** Leaves side by side, by their full names. */
export function flat(tree: TreeNode, leaves: readonly TreeNode[], search: string): VisibleRow[] {
  const children = leaves.map((node) => ({ ...node, label: node.name || "model output", detail: "" }));
  return visibleRows({ ...tree, children }, new Set(), search);
}
