/**
 * The tree as an ARIA treegrid (W3C authoring practices): arrows walk and fold, one row is in the tab order, and only
 * the rows in the window exist.
 */
import type { Signal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useRef } from "preact/hooks";
import { useLayoutEffect } from "../base/hooks";
import { addressOf, type TreeNode, type VisibleRow } from "../data/tree";
import * as view from "../data/view";
import { Chevron } from "./icons";
import { useKeyNotes } from "./keys";
import { RowFrame, type RowWindow } from "./row_frame";
import { toggle } from "./rows";

export interface TreeFrameProps {
  readonly label: string;
  /** Whose folds these are. */
  readonly kind: string;
  readonly tree: TreeNode;
  readonly rows: readonly VisibleRow[];
  readonly selected: TreeNode | null;
  /** A row under the pointer elsewhere. */
  readonly highlight?: TreeNode | null;
  /** Further cells of a row, and attributes for it. */
  readonly cells: (row: VisibleRow) => ComponentChildren;
  readonly attributes?: (row: VisibleRow) => Readonly<Record<string, string | number>>;
  readonly ahead?: boolean | undefined;
  readonly at?: Signal<RowWindow | null>;
  /** What stands beside the tree, on the same rows. */
  readonly children?: (window: RowWindow) => ComponentChildren;
}

/** The tree in its scrolling window, with what is drawn beside it. */
export function TreeFrame(props: TreeFrameProps) {
  const { rows, selected, ahead, at, children } = props;
  const key = selected?.key ?? null;
  return (
    <RowFrame
      rows={rows.length}
      active={rows.findIndex((r) => r.node.key === key)}
      activeKey={key}
      ahead={ahead}
      at={at}
    >
      {(window) => (
        <>
          {rows.length > 0 || !view.search.value ? (
            <TreeRows {...props} window={window} />
          ) : (
            <p class="waiting">Nothing of that name</p>
          )}
          {children?.(window)}
        </>
      )}
    </RowFrame>
  );
}

function TreeRows(props: TreeFrameProps & { readonly window: RowWindow }) {
  const { kind, tree, rows, window, cells, attributes } = props;
  const selected = props.selected?.key ?? null;
  const grid = useRef<HTMLDivElement>(null);
  const wantsFocus = useRef(false);
  const chosen = rows.findIndex((r) => r.node.key === selected);
  const active = chosen >= 0 ? chosen : 0;

  useLayoutEffect(() => {
    if (!wantsFocus.current) return;
    wantsFocus.current = false;
    // A row that is gone leaves the focus to the page; a key that changed nothing leaves it free to go elsewhere.
    const { activeElement } = document;
    if (activeElement !== document.body && !grid.current?.contains(activeElement)) return;
    grid.current?.querySelector<HTMLElement>('[role="row"][tabindex="0"]')?.focus({ preventScroll: true });
  });

  useKeyNotes("Rows", [
    { keys: ["ArrowUp", "ArrowDown"], text: "Previous, next row" },
    { keys: ["PgUp", "PgDn"], text: "A page of rows" },
    { keys: ["Home", "End"], text: "First, last row" },
    { keys: ["ArrowRight", "ArrowLeft"], text: "Open, close a group" },
    { keys: ["Escape"], text: "No row" },
  ]);
  const select = (node: TreeNode) => {
    view.layer.value = addressOf(node);
  };
  // A search shows all that it finds, whatever is folded.
  const fold = (node: TreeNode, open: boolean) => {
    if (view.search.peek().trim() === "") toggle(kind, tree, node.key, open);
  };
  const go = (index: number) => {
    const target = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (target) select(target.node);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[active];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const group = row.node.kind === "group";
    const page = Math.max(1, Math.floor(window.page / window.rowHeight) - 1);
    const moves: Record<string, () => void> = {
      ArrowDown: () => go(active + 1),
      ArrowUp: () => go(active - 1),
      PageDown: () => go(active + page),
      PageUp: () => go(active - page),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => (group && !row.expanded ? fold(row.node, true) : group ? go(active + 1) : undefined),
      ArrowLeft: () => {
        if (group && row.expanded) fold(row.node, false);
        else if (row.parent) go(rows.findIndex((r) => r.node === row.parent));
      },
      Enter: () => group && fold(row.node, !row.expanded),
      Escape: () => {
        view.layer.value = null;
      },
      " ": () => group && fold(row.node, !row.expanded),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    wantsFocus.current = true;
    move();
  };

  const drawn: VNode[] = [];
  // The active row exists even while scrolled away: the tab order must not break.
  const indices = new Set(Array.from({ length: window.last - window.first }, (_, i) => window.first + i)).add(active);
  for (const index of indices) {
    const row = rows[index];
    if (!row) continue;
    const { node, depth } = row;
    drawn.push(
      // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled once, by the grid
      <div
        key={node.key}
        role="row"
        class={`tree-row ${node.kind}${node.key === selected ? " selected" : ""}${node === props.highlight ? " highlighted" : ""}`}
        style={{ top: `${index * window.rowHeight}px`, height: `${window.rowHeight}px` }}
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
        onClick={() => select(node)}
        onDblClick={() => node.kind === "group" && fold(node, !row.expanded)}
      >
        <div role="gridcell" class="tree-name" style={{ paddingLeft: `${8 + depth * 12}px` }} title={node.name}>
          {node.kind === "group" ? (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the arrows do this from the keyboard
            // biome-ignore lint/a11y/noStaticElementInteractions: as above; a button would be a second stop for Tab
            <span
              class="tree-fold"
              onClick={(event) => {
                event.stopPropagation();
                fold(node, !row.expanded);
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
      <div role="rowgroup" style={{ transform: `translateY(${-window.scrollTop}px)` }}>
        {drawn}
      </div>
    </div>
  );
}
