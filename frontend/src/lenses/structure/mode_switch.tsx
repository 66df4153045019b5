/** The tree table or the graph of the dataflow. */
import * as view from "../../data/view";
import { Switch } from "../../views/controls";

export const graph = view.choice("graph", ["table", "graph"]);

function show(mode: "table" | "graph"): void {
  graph.value = mode;
  view.table.value = false;
}

export function otherMode(): void {
  show(graph.peek() === "graph" ? "table" : "graph");
}

export function ModeSwitch() {
  return (
    <Switch
      label="Show as"
      testid="structure"
      chosen={graph.value}
      onChoose={show}
      options={[
        ["table", "Tree", "One line for each layer (g)"],
        ["graph", "Graph", "What feeds what, as recorded (g)"],
      ]}
    />
  );
}
