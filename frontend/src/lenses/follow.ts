import * as view from "../data/view";
import { useKeys } from "../views/keys";

/** The way back from a pinned step. */
export function useFollowKey(): void {
  useKeys("Steps", [
    {
      keys: ["n"],
      text: "Newest step",
      run: () => {
        view.step.value = null;
      },
    },
  ]);
}
