/** What stands on a picture: the frame that has the keys, and the crosshair. */
import type { HTMLAttributes } from "preact";

export interface KeyPictureProps extends HTMLAttributes<HTMLDivElement> {
  readonly testid: string;
  /** The picture in one sentence. */
  readonly label: string;
  readonly attach?: (element: HTMLDivElement | null) => void;
}

export function KeyPicture({ testid, label, attach = () => {}, ...rest }: KeyPictureProps) {
  return (
    <div
      ref={attach}
      class="key-picture"
      role="img"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the cursor moves with the arrow keys
      tabIndex={0}
      data-testid={testid}
      aria-label={label}
      aria-describedby="picture-keys"
      {...rest}
    />
  );
}

/** `at`: pixels from the left; `pinned`: it stays when the pointer goes. */
export function Cross({ at, pinned }: { at: number; pinned: boolean }) {
  return <div class={`cross${pinned ? " pinned" : ""}`} style={{ left: `${at}px` }} />;
}
