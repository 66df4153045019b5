/** The selected unit's life in a sentence, and a field to select one by its number. */
import { formatCount } from "../../base/format";
import type { UnitData } from "../../data/units";
import * as view from "../../data/view";
import { lifeInWords } from "./life_words";

export function UnitLife({ data, states, byMagnitude }: { data: UnitData; states: Uint8Array; byMagnitude: boolean }) {
  const chosen = view.unit.value;
  const unit = chosen !== null && chosen < data.units ? chosen : null;
  return (
    <div class="unit-life">
      <label>
        Unit{" "}
        <input
          class="field step"
          type="number"
          min={0}
          max={data.units - 1}
          data-testid="unit-number"
          value={unit ?? ""}
          onInput={(event) => {
            const { value } = event.currentTarget;
            const number = Number(value);
            view.unit.value =
              value !== "" && Number.isInteger(number) && number >= 0 ? Math.min(number, data.units - 1) : null;
          }}
        />
      </label>
      <p data-testid="unit-life" data-unit={unit ?? ""} aria-live="polite">
        {unit === null ? (
          <span class="muted">
            Click a line or type a number from 0 to {formatCount(data.units - 1)} to read a unit's life
          </span>
        ) : (
          `Unit ${unit}: ${lifeInWords(data, states, unit, byMagnitude)}`
        )}
      </p>
    </div>
  );
}
