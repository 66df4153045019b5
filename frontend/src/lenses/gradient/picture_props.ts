/** What the panes of the picture share. */
import type { Signal } from "@preact/signals";
import type { Manifest } from "../../data/manifest";
import type { TreeNode, VisibleRow } from "../../data/tree";
import type { HeatModel } from "./model";
import type { Pointed } from "./pointing";
import type { NonFinite } from "./verdict";

export interface PictureProps {
  readonly manifest: Manifest;
  readonly model: HeatModel;
  readonly whole: HeatModel;
  readonly tree: TreeNode;
  readonly rows: readonly VisibleRow[];
  readonly selected: TreeNode | null;
  readonly pinned: number;
  readonly hover: Signal<Pointed | null>;
  /** Of the heat map, in CSS pixels; `attach` measures it. */
  readonly width: number;
  readonly attach: (element: HTMLDivElement | null) => void;
  readonly extent: readonly [number, number];
  readonly nonFinite: NonFinite | null;
}
