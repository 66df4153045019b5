import { useState } from "preact/hooks";
import { formatCount, plural } from "../../base/format";
import { idRanges } from "../../data/units";

/** The dead units by number: as ranges to read, in full to copy. */
export function DeadUnitIds({ layer, ids, total }: { layer: string; ids: readonly number[]; total: number }) {
  const [copied, setCopied] = useState<string | null>(null);
  const full = ids.join(", ");
  const ranges = idRanges(ids);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(full);
      setCopied(full);
    } catch {
      // Clipboards may be closed to frames: the text is on the page and can be selected.
      setCopied(null);
    }
  };
  return (
    <div class="unit-ids">
      <div class="unit-ids-head">
        <span>
          {ids.length === 0 ? "No dead units" : `${plural(ids.length, "dead unit")} of ${formatCount(total)}`}
        </span>
        {ids.length > 0 && (
          <button
            type="button"
            class="button"
            onClick={() => void copy()}
            title={`Copy the ids of the dead units of ${layer}`}
          >
            {copied === full ? "Copied" : "Copy ids"}
          </button>
        )}
      </div>
      {ids.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it
        <div class="unit-ids-text" tabIndex={0} role="group" aria-label="Ids of the dead units">
          {ranges !== full && <span class="unit-ids-ranges">{ranges}</span>}
          <span class={ranges !== full ? "visually-hidden" : ""} data-testid="dead-unit-ids" data-count={ids.length}>
            {full}
          </span>
        </div>
      )}
      {ids.length === 0 && <span class="visually-hidden" data-testid="dead-unit-ids" data-count={0} />}
    </div>
  );
}
