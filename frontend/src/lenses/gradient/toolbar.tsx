/** The controls above the picture. */
import { groupsFor, type Statistic } from "../../data/statistics";
import type { TreeNode } from "../../data/tree";
import * as view from "../../data/view";
import { expandAll, setExpanded } from "../../views/rows";

export function StatisticSelect({ available, chosen }: { available: readonly string[]; chosen: Statistic }) {
  const groups = groupsFor(available.length > 0 ? available : [chosen.name]);
  return (
    <select
      class="field statistic"
      data-testid="stat-select"
      aria-label="Statistic"
      value={chosen.name}
      onChange={(event) => {
        view.stat.value = event.currentTarget.value;
      }}
    >
      {groups.map((group) => (
        <optgroup key={group.title} label={group.title}>
          {group.statistics.map((s) => (
            <option key={s.name} value={s.name}>
              {s.label}
            </option>
          ))}
        </optgroup>
      ))}
    </select>
  );
}

export function AxisSwitch() {
  return (
    <div class="segmented" role="group" aria-label="Step axis">
      {(["linear", "log"] as const).map((kind) => (
        <button
          key={kind}
          type="button"
          aria-pressed={view.axis.value === kind}
          title={kind === "log" ? "Early steps get more room" : "Every step gets the same room"}
          onClick={() => {
            view.axis.value = kind;
          }}
        >
          {kind === "linear" ? "Linear" : "Log"}
        </button>
      ))}
    </div>
  );
}

export function FoldButtons({ kind, tree }: { kind: string; tree: TreeNode }) {
  if (!tree.children.some((n) => n.kind === "group")) return null;
  return (
    <div class="segmented" role="group" aria-label="Groups">
      <button type="button" title="Open all groups" onClick={() => expandAll(kind, tree)}>
        Expand
      </button>
      <button
        type="button"
        title="Close all groups; each shows its worst member"
        onClick={() => setExpanded(kind, new Set())}
      >
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
