/** What the frame knows of a lens. A further lens is one more entry in `registry.ts`. */
import type { FunctionComponent } from "preact";

export interface Lens {
  readonly id: string;
  readonly title: string;
  /** The beginning of the title that is enough where room is short. */
  readonly short?: string;
  readonly component: FunctionComponent;
}
