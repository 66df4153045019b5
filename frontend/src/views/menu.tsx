/** A menu under a button, by pointer and by keys (W3C authoring practices: menu button). */
import type { ComponentChildren } from "preact";

export interface MenuProps {
  readonly name: string;
  readonly testid: string;
  readonly onOpen?: () => void;
  readonly children: ComponentChildren;
}

export function Menu({ name, testid, onOpen, children }: MenuProps) {
  return (
    <details
      class="menu"
      data-testid={testid}
      onKeyDown={(event) => {
        const menu = event.currentTarget;
        const items = itemsOf(menu);
        const at = items.indexOf(document.activeElement as HTMLElement);
        const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
        if (!menu.open) {
          if (event.key !== "ArrowDown") return;
          menu.open = true;
        } else if (event.key === "Escape") close(menu);
        else if (to === undefined) return;
        else items[(to + items.length) % items.length]?.focus();
        event.preventDefault();
        event.stopPropagation();
      }}
      onToggle={({ currentTarget: menu }) => {
        if (!menu.open) return;
        onOpen?.();
        itemsOf(menu)[0]?.focus();
      }}
      // Before the item hears of it: a picture of the page is one without the menu.
      onClickCapture={({ currentTarget: menu, target }) => {
        if (target instanceof Element && target.closest("[role=menuitem]")) close(menu);
      }}
      onFocusOut={({ currentTarget: menu, relatedTarget: to }) => {
        if (!(to instanceof Node && menu.contains(to))) menu.open = false;
      }}
    >
      <summary class="button" role="button" aria-haspopup="menu">
        {name}
      </summary>
      <div class="menu-items" role="menu" aria-label={name} tabIndex={-1}>
        {children}
      </div>
    </details>
  );
}

const itemsOf = (menu: Element): HTMLElement[] => [...menu.querySelectorAll<HTMLElement>("[role=menuitem]:enabled")];

function close(menu: HTMLDetailsElement): void {
  menu.open = false;
  menu.querySelector("summary")?.focus();
}

export interface MenuItemProps {
  /** Of the file: "PNG". */
  readonly kind?: string;
  readonly disabled?: boolean;
  readonly onChoose: () => void;
  readonly children: ComponentChildren;
}

export function MenuItem({ kind, disabled = false, onChoose, children }: MenuItemProps) {
  return (
    <button type="button" role="menuitem" tabIndex={-1} disabled={disabled} onClick={onChoose}>
      {children} {kind && <span class="muted">{kind}</span>}
    </button>
  );
}
