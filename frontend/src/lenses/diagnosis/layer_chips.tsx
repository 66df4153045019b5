/** Where: the layers of a finding, the root cause's first; choosing one chooses it in every lens. */
import { useState } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import * as view from "../../data/view";
import { shortName } from "./words";

const FEW = 8;
const MOST = 200;

export function LayerChips({ names, noun }: { names: readonly string[]; noun: string }) {
  const [all, setAll] = useState(false);
  const shown = names.slice(0, all ? MOST : FEW);
  const more = names.length - shown.length;
  return (
    <ul class="chips" aria-label={plural(names.length, noun)}>
      {shown.map((name) => (
        <li key={name}>
          <button
            type="button"
            class="chip"
            data-testid="finding-layer"
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
          {all && more > 0 && <span class="muted">and {formatCount(more)} more </span>}
          <button type="button" class="link" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "Fewer" : `${formatCount(more)} more`}
          </button>
        </li>
      )}
    </ul>
  );
}
