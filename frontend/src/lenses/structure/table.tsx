/** The tree table: what each layer is, and how it does, one line each. */
import { formatCount, formatExact, formatShare } from "../../base/format";
import type { TreeNode, VisibleRow } from "../../data/tree";
import type { Cell } from "../../views/data_table";
import { SeverityIcon } from "../../views/icons";
import { theme } from "../../views/theme";
import { TreeFrame } from "../../views/tree_rows";
import { SEVERITY_WORDS, titleOf } from "../diagnosis/words";
import { totalsOf } from "./facts";
import { COLUMNS, type Column, direction, sort, sortBy } from "./order";
import { paintOf } from "./paint";
import { STATISTICS, type Vital, type Vitals } from "./vitals";
import { ALL_TRAINED, differenceText, formatSize, shapeText, trainedText, typeText, vitalText } from "./words";

export interface StructureTableProps {
  readonly vitals: Vitals;
  readonly kind: string;
  readonly tree: TreeNode;
  readonly rows: readonly VisibleRow[];
  readonly selected: TreeNode | null;
  readonly compared: boolean;
}

export function StructureTable({ vitals, kind, tree, rows, selected, compared }: StructureTableProps) {
  return (
    <div class={`structure${compared ? " compared" : ""}`}>
      <div class="structure-head" role="group" aria-label="Sort by">
        {COLUMNS.map((column) => (
          <Head key={column.id} {...column} />
        ))}
      </div>
      <TreeFrame
        label={`Layers of the model; columns: ${COLUMNS.map(({ text }) => text).join(", ")}`}
        kind={kind}
        ahead
        tree={tree}
        rows={rows}
        selected={selected}
        attributes={({ node }) => ({ "data-layer": node.kind === "leaf" ? node.name : "" })}
        cells={(row) => <Cells vitals={vitals} row={row} compared={compared} />}
      />
    </div>
  );
}

const styleOf = ({ id, number }: (typeof COLUMNS)[number]) => `col-${id}${number ? " num" : ""}`;

function Head(column: (typeof COLUMNS)[number]) {
  const { id, text, title } = column;
  const on = sort.value === id;
  return (
    <button
      type="button"
      class={styleOf(column)}
      title={title}
      aria-pressed={on}
      data-testid={`sort-${id}`}
      onClick={() => sortBy(id)}
    >
      {text}
      {on && (direction.value === "reversed" ? " ↑" : " ↓")}
    </button>
  );
}

function Cells({ vitals, row, compared }: { vitals: Vitals; row: VisibleRow; compared: boolean }) {
  const { node, expanded } = row;
  const own = vitals.facts[node.row];
  const sum = totalsOf(vitals.facts, node.rows);
  const there = sum.there === node.rows.length;
  const parameters = there ? sum.otherParameters : sum.parameters;
  const difference = compared ? differenceText(vitals.facts, node) : "";
  const trained = there ? "" : trainedText(parameters, sum.trainable);
  const dead = vitals.deadShare(node);
  const broken = vitals.brokenSince(node);
  const text = (words: string | null | undefined): Cell => [words, { title: words ?? undefined }];
  const cells: Readonly<Record<Column, Cell>> = {
    name: [],
    found: [!expanded && <FoundCell vitals={vitals} node={node} />],
    type: text(own && typeText(own)),
    output: [own && shapeText(own), { title: own?.layer.dtype || undefined }],
    parameters: [
      parameters === 0 && !difference ? (
        "–"
      ) : (
        <>
          {difference && <span class="difference">{difference}</span>}
          {trained && trained !== ALL_TRAINED && <span class="muted frozen">{trained}</span>}
          {formatSize(parameters)}
        </>
      ),
      { "data-value": parameters, title: `${formatCount(parameters)} parameters${trained && `, ${trained}`}` },
    ],
    calls: [own?.calls],
    gradient: vitalCell(vitals, node, "gradient"),
    activation: vitalCell(vitals, node, "activation"),
    update: vitalCell(vitals, node, "update"),
    dead: [
      formatShare(dead),
      {
        class: dead >= 0.5 ? "critical" : dead >= 0.1 ? "warn" : "",
        "data-value": Number.isNaN(dead) ? "" : formatExact(dead),
      },
    ],
    broken: [formatCount(broken), { class: Number.isNaN(broken) ? "" : "critical" }],
    source: text(own?.layer.source),
  };
  return (
    <>
      {COLUMNS.slice(1).map((column) => {
        const [content, { class: style = "", ...rest } = {}] = cells[column.id];
        return (
          <div
            key={column.id}
            role="gridcell"
            class={`${styleOf(column)} ${content === "–" ? "muted" : style}`}
            data-column={column.id}
            {...rest}
          >
            {content}
          </div>
        );
      })}
    </>
  );
}

function vitalCell(vitals: Vitals, node: TreeNode, vital: Vital): Cell {
  const loaded = vitals.loaded[vital];
  const { scale } = STATISTICS[vital];
  const cell = vitals.cell(node, vital);
  const paint = paintOf(cell, loaded?.domain ?? null, scale, theme.value);
  return [
    <>
      {loaded ? vitalText(cell, scale) : ""}
      <span
        class={`paint ${paint.state}`}
        aria-hidden="true"
        style={paint.fill ? { background: paint.fill } : undefined}
      />
    </>,
    { class: `vital-cell${paint.state === "missing" ? " muted" : ""}`, "data-value": formatExact(cell.value) },
  ];
}

function FoundCell({ vitals, node }: { vitals: Vitals; node: TreeNode }) {
  const found = vitals.found(node);
  const [first, ...others] = found?.codes ?? [];
  if (!found || !first) return null;
  const all = found.codes.map(titleOf).join(", ");
  const layers = node.kind === "group" ? ` in ${formatCount(found.layers)} of ${formatCount(node.rows.length)}` : "";
  return (
    <span class={`found ${found.severity}`} title={`${SEVERITY_WORDS[found.severity]}: ${all}${layers}`}>
      <SeverityIcon severity={found.severity} />
      <span class="visually-hidden">{SEVERITY_WORDS[found.severity]}</span>
      <span class="found-text">
        {titleOf(first)}
        {others.length > 0 && ` +${others.length}`}
      </span>
    </span>
  );
}
