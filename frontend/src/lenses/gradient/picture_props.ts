/** What the panes of the picture share. */
import type { Signal } from "@preact/signals";
import type { Manifest } from "../../data/manifest";
import type { TreeNode, VisibleRow } from "../../data/tree";
import type { HeatModel } from "./model";
import type { Pair } from "./pair";
import type { Pointed } from "./pointing";
import type { Scalars } from "./scalars_strip";
import type { Shown } from "./shown";
import type { NonFinite } from "./verdict";

export interface PictureProps {
  readonly manifest: Manifest;
  readonly shown: Shown;
  /** What the overview shows: all steps. */
  readonly whole: HeatModel;
  /** The two runs, when two are shown. */
  readonly pair: Pair | null;
  readonly scalars: Scalars | null;
  readonly tree: TreeNode;
  readonly rows: readonly VisibleRow[];
  readonly selected: TreeNode | null;
  readonly pinned: number;
  readonly hover: Signal<Pointed | null>;
  /** Of the heat map, in CSS pixels; `attach` measures it. */
  readonly width: number;
  readonly attach: (element: HTMLDivElement | null) => void;
  readonly nonFinite: NonFinite | null;
}
