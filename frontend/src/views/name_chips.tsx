/** Names of rows, the first few at first; choosing one chooses it in every lens, choosing it again none. */
import { useState } from "preact/hooks";
import { formatCount } from "../base/format";
import * as view from "../data/view";
import { shortName } from "../lenses/diagnosis/words";

const FEW = 8;

export function NameChips({ names, label, testid }: { names: readonly string[]; label: string; testid: string }) {
  const [all, setAll] = useState(false);
  return (
    <ul class="chips" aria-label={label}>
      {names.slice(0, all ? undefined : FEW).map((name) => (
        <li key={name}>
          <button
            type="button"
            class="chip"
            data-testid={testid}
            title={name}
            aria-pressed={view.layer.value === name}
            onClick={() => {
              view.layer.value = view.layer.peek() === name ? null : name;
            }}
          >
            {shortName(name)}
          </button>
        </li>
      ))}
      {names.length > FEW && (
        <li>
          <button type="button" class="link" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "Fewer" : `${formatCount(names.length - FEW)} more`}
          </button>
        </li>
      )}
    </ul>
  );
}
