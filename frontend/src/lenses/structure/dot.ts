/** The whole dataflow as a Graphviz file: a node for each layer, a cluster for each module that holds some. */
import type { Manifest } from "../../data/manifest";
import { layerTree, type TreeNode } from "../../data/tree";

export function dotOf(manifest: Manifest): string {
  const lines = [
    `digraph ${quoted(manifest.run || "model")} {`,
    "  rankdir=TB;",
    "  node [shape=box, style=rounded, fontname=Helvetica, fontsize=11];",
    "  graph [fontname=Helvetica, fontsize=11, style=rounded];",
  ];
  let clusters = 0;
  const write = (node: TreeNode, indent: string) => {
    const layer = manifest.layers[node.row];
    if (layer) {
      const text = [layer.name || "model output", layer.type, layer.shape.join(" × ")].filter(Boolean);
      lines.push(`${indent}r${node.row} [label=${quoted(text.join("\n"))}];`);
      return;
    }
    lines.push(`${indent}subgraph cluster_${clusters++} {`, `${indent}  label=${quoted(node.name)};`);
    for (const child of node.children) write(child, `${indent}  `);
    lines.push(`${indent}}`);
  };
  for (const child of layerTree(manifest.layers).children) write(child, "  ");
  const known = manifest.layers.length;
  for (const [from, to] of manifest.edges) if (Math.max(from, to) < known) lines.push(`  r${from} -> r${to};`);
  return `${lines.join("\n")}\n}\n`;
}

/** A DOT string: quotes and backslashes escaped, so that a name is shown as it is and never ends it. */
function quoted(text: string): string {
  return `"${text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replace(/\r?\n|\r/g, "\\n")}"`;
}
