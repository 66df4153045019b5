/** A picture that fills its box, said in one sentence, and the crosshairs that stand on it. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useMeasure } from "../../base/hooks";
import { type Draw, useDrawing } from "../../views/drawing";
import { Cross } from "../../views/key_picture";
import type { HeatModel } from "./model";
import type { Pointed } from "./pointing";

export interface PanelProps {
  readonly class: string;
  readonly testid?: string;
  readonly label: string;
  /** Where the box has none of its own. */
  readonly height?: number;
  readonly draw: Draw;
  /** What `draw` shows. */
  readonly of: readonly unknown[];
  /** What stands on it, by its width. */
  readonly children?: (width: number) => ComponentChildren;
}

export function Panel(props: PanelProps) {
  const { width, height, attach } = useMeasure<HTMLDivElement>();
  const canvas = useDrawing(width, props.height ?? height, props.draw, props.of);
  return (
    <div class={props.class} ref={attach} role="img" data-testid={props.testid} aria-label={props.label}>
      {canvas}
      {props.children?.(width)}
    </div>
  );
}

interface CrossesProps {
  readonly model: HeatModel;
  readonly pinned: number;
  readonly hover: Signal<Pointed | null>;
  readonly width: number;
}

/** The step that is chosen, and the one under the pointer. */
export function Crosses({ model, pinned, hover, width }: CrossesProps) {
  const at = (sample: number) => model.unitOf(sample) * width;
  return (
    <>
      {pinned >= 0 && <Cross at={at(pinned)} pinned />}
      {hover.value && <Cross at={at(hover.value.sample)} pinned={false} />}
    </>
  );
}
