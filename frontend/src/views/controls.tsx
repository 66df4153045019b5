/** The controls above a picture: a few ways to look at it, a list to choose from, and those that every lens has. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { groupsFor, type Statistic } from "../data/statistics";
import type { TreeNode } from "../data/tree";
import * as view from "../data/view";
import { expandAll, setExpanded } from "./rows";

export type Option<T> = readonly [value: T, label: ComponentChildren, title?: string];

interface ChooserProps<T> {
  readonly label: string;
  readonly testid?: string;
  readonly class?: string;
  readonly chosen: T;
  readonly onChoose: (value: T) => void;
}

interface SwitchProps<T> extends ChooserProps<T> {
  readonly options: readonly Option<T>[];
}

/** Buttons of which one is pressed. */
export function Switch<T extends string | null>({ label, testid, chosen, onChoose, options, ...rest }: SwitchProps<T>) {
  return (
    <div class={`segmented ${rest.class ?? ""}`} role="group" aria-label={label}>
      {options.map(([value, text, title]) => (
        <button
          key={value}
          type="button"
          data-testid={testid && `${testid}-${value}`}
          aria-pressed={value === chosen}
          title={title}
          onClick={() => onChoose(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

interface SelectProps<T extends string> extends ChooserProps<T> {
  /** Under their titles; those under an empty one stand for themselves. */
  readonly groups: readonly (readonly [title: string, options: readonly Option<T>[]])[];
  readonly title?: string;
}

/** The browser's list of choices. */
export function Select<T extends string>({ label, testid, chosen, onChoose, groups, title, ...rest }: SelectProps<T>) {
  return (
    <select
      class={rest.class ?? "field"}
      data-testid={testid}
      aria-label={label}
      title={title}
      value={chosen}
      onChange={(event) => onChoose(event.currentTarget.value as T)}
    >
      {groups.map(([group, options]) => {
        const list = options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ));
        if (group === "") return list;
        return (
          list.length > 0 && (
            <optgroup key={group} label={group}>
              {list}
            </optgroup>
          )
        );
      })}
    </select>
  );
}

/** What a choice does when all it does is to set a signal. */
export const into =
  <T,>(signal: Signal<T>) =>
  (value: T): void => {
    signal.value = value;
  };

export function StatisticSelect({ available, chosen }: { available: readonly string[]; chosen: Statistic }) {
  const groups = groupsFor(available.length > 0 ? available : [chosen.name]);
  return (
    <Select
      class="field statistic"
      testid="stat-select"
      label="Statistic"
      chosen={chosen.name}
      onChoose={into<string | null>(view.stat)}
      groups={groups.map(({ title, statistics }) => [title, statistics.map((s) => [s.name, s.label])])}
    />
  );
}

export function AxisSwitch() {
  return (
    <Switch
      label="Step axis"
      chosen={view.axis.value}
      onChoose={into(view.axis)}
      options={[
        ["linear", "Linear"],
        ["log", "Log"],
      ]}
    />
  );
}

export function FoldButtons({ kind, tree }: { kind: string; tree: TreeNode }) {
  if (!tree.children.some((n) => n.kind === "group")) return null;
  return (
    <div class="segmented" role="group" aria-label="Groups">
      <button type="button" onClick={() => expandAll(kind, tree)}>
        Expand
      </button>
      <button type="button" onClick={() => setExpanded(kind, new Set())}>
        Collapse
      </button>
    </div>
  );
}

export function TableSwitch() {
  return (
    <button
      type="button"
      class="button"
      data-testid="table-toggle"
      aria-pressed={view.table.value}
      title="The same numbers as text (t)"
      onClick={() => {
        view.table.value = !view.table.value;
      }}
    >
      Table
    </button>
  );
}
