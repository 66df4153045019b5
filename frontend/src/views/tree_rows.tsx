/**
 * The tree as an ARIA treegrid (W3C authoring practices): arrows walk and fold, one row is in the tab order, and only
 * the rows in the window exist.
 */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { TreeNode, VisibleRow } from "../data/tree";
import { Chevron } from "./icons";
import type { RowWindow } from "./row_frame";

export interface TreeRowsProps {
  readonly label: string;
  readonly rows: readonly VisibleRow[];
  readonly view: RowWindow;
  readonly selected: string | null;
  readonly highlight?: number;
  readonly onSelect: (node: TreeNode) => void;
  readonly onToggle: (node: TreeNode, open: boolean) => void;
  /** Further cells of a row, and attributes for it. */
  readonly cells: (row: VisibleRow) => ComponentChildren;
  readonly attributes?: (row: VisibleRow) => Readonly<Record<string, string | number>>;
}

export function TreeRows(props: TreeRowsProps) {
  const { rows, view, selected, cells, attributes } = props;
  const grid = useRef<HTMLDivElement>(null);
  const wantsFocus = useRef(false);
  const chosen = rows.findIndex((r) => r.node.key === selected);
  const active = chosen >= 0 ? chosen : 0;

  useLayoutEffect(() => {
    if (!wantsFocus.current) return;
    const row = grid.current?.querySelector<HTMLElement>('[role="row"][tabindex="0"]');
    if (row) {
      row.focus({ preventScroll: true });
      wantsFocus.current = false;
    }
  });

  const go = (index: number) => {
    const target = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!target) return;
    wantsFocus.current = true;
    props.onSelect(target.node);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[active];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const group = row.node.kind === "group";
    const page = Math.max(1, Math.floor(view.height / view.rowHeight) - 1);
    const moves: Record<string, () => void> = {
      ArrowDown: () => go(active + 1),
      ArrowUp: () => go(active - 1),
      PageDown: () => go(active + page),
      PageUp: () => go(active - page),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => (group && !row.expanded ? props.onToggle(row.node, true) : group ? go(active + 1) : undefined),
      ArrowLeft: () => {
        if (group && row.expanded) props.onToggle(row.node, false);
        else if (row.parent) go(rows.findIndex((r) => r.node === row.parent));
      },
      Enter: () => group && props.onToggle(row.node, !row.expanded),
      " ": () => group && props.onToggle(row.node, !row.expanded),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    wantsFocus.current = true;
    move();
  };

  const drawn: ComponentChildren[] = [];
  // The active row exists even while scrolled away: the tab order must not break.
  const indices = new Set(Array.from({ length: view.last - view.first }, (_, i) => view.first + i)).add(active);
  for (const index of indices) {
    const row = rows[index];
    if (!row) continue;
    const { node, depth } = row;
    drawn.push(
      // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled once, by the grid
      <div
        key={node.key}
        role="row"
        class={rowClass(row, node.key === selected, index === props.highlight)}
        style={{ transform: `translateY(${index * view.rowHeight - view.scrollTop}px)`, height: `${view.rowHeight}px` }}
        tabIndex={index === active ? 0 : -1}
        aria-level={depth + 1}
        aria-posinset={row.position}
        aria-setsize={row.siblings}
        aria-rowindex={index + 2}
        aria-selected={node.key === selected}
        {...(node.kind === "group" ? { "aria-expanded": row.expanded } : {})}
        data-testid="tree-row"
        data-row={node.name}
        data-kind={node.kind}
        {...attributes?.(row)}
        onClick={() => props.onSelect(node)}
        onDblClick={() => node.kind === "group" && props.onToggle(node, !row.expanded)}
      >
        <div role="gridcell" class="tree-name" style={{ paddingLeft: `${8 + depth * 12}px` }} title={node.name}>
          {node.kind === "group" ? (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the arrows do this from the keyboard
            // biome-ignore lint/a11y/noStaticElementInteractions: as above; a button would be a second stop for Tab
            <span
              class="tree-fold"
              onClick={(event) => {
                event.stopPropagation();
                props.onToggle(node, !row.expanded);
              }}
            >
              <Chevron open={row.expanded} />
            </span>
          ) : (
            <span class="tree-fold" />
          )}
          {node.isFunction && (
            <span class="tree-function" title="Activation called as a function">
              ƒ
            </span>
          )}
          <span class="tree-label">{node.label}</span>
          {node.detail && <span class="tree-detail">{node.detail}</span>}
          {node.kind === "group" && <span class="tree-count">{node.rows.length}</span>}
        </div>
        {cells(row)}
      </div>,
    );
  }
  return (
    <div
      ref={grid}
      role="treegrid"
      class="tree"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      onKeyDown={onKeyDown}
    >
      {drawn}
    </div>
  );
}

function rowClass(row: VisibleRow, selected: boolean, highlighted: boolean): string {
  const parts = ["tree-row", row.node.kind];
  if (selected) parts.push("selected");
  if (highlighted) parts.push("highlighted");
  return parts.join(" ");
}
