/** The numbers of a piece of evidence; of long ones some, and it says so. */
import { formatCount, formatExact, plural } from "../../base/format";
import type { Evidence } from "../../data/diagnosis";
import { statisticOf } from "../../data/statistics";
import { evenly, sayerOf } from "./evidence_words";

const MOST_STEPS = 40;
const MOST_ROWS = 100;

export function EvidenceTable({ evidence }: { evidence: Evidence }) {
  const { rows, steps, values, expected } = evidence;
  const statistic = statisticOf(evidence.statistic);
  const say = sayerOf(evidence.statistic);
  const shownSteps = evenly(steps.length, MOST_STEPS);
  const shownRows = rows.slice(0, MOST_ROWS);
  const cut = shownSteps.length < steps.length || shownRows.length < rows.length;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it */}
      <div class="evidence-table" tabIndex={0} role="group" aria-label={`${statistic.label}, values`}>
        <table data-testid="evidence-table">
          <caption class="visually-hidden">{statistic.label}, rows by steps</caption>
          <thead>
            <tr>
              <th scope="col">{statistic.rows === "layers" ? "Layer" : "Parameter"}</th>
              {expected && <th scope="col">Expected</th>}
              {shownSteps.map((t) => (
                <th key={t} scope="col" data-step={steps[t]}>
                  {formatCount(steps[t] as number)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shownRows.map((name, r) => (
              <tr key={name}>
                <th scope="row" title={name}>
                  {name || "the model"}
                </th>
                {expected && <Cell value={expected[r]} say={say} />}
                {shownSteps.map((t) => (
                  <Cell key={t} value={values[t]?.[r]} say={say} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {cut && (
        <p class="muted">
          {formatCount(shownSteps.length)} of {plural(steps.length, "step")} and {formatCount(shownRows.length)} of{" "}
          {plural(rows.length, "row")}; all are in the JSON file
        </p>
      )}
    </>
  );
}

function Cell({ value = Number.NaN, say }: { value: number | undefined; say: (value: number) => string }) {
  if (Number.isNaN(value)) return <td class="weak">–</td>;
  return (
    <td class={Number.isFinite(value) ? "" : "broken"} title={formatExact(value)}>
      {say(value)}
    </td>
  );
}
