/** What was looked at without finding anything, and what could not be looked at. */

import { formatCount } from "../../base/format";
import type { Check, Diagnosis } from "../../data/diagnosis";
import { SeverityIcon } from "../../views/icons";
import { typeset } from "./words";

export function Checks({ diagnosis }: { diagnosis: Diagnosis }) {
  const passed = diagnosis.checks.filter((c) => c.outcome === "passed");
  const open = diagnosis.checks.filter((c) => c.outcome === "not checked" || c.reason !== "");
  return (
    <>
      <section class="checks" aria-label="Checked and passed">
        <h2>
          Checked and passed <span class="muted">{formatCount(passed.length)}</span>
        </h2>
        <ul>
          {passed.map((check) => (
            <li key={check.code} data-testid="check-passed">
              <SeverityIcon severity="ok" />
              <span>{check.question}</span>
            </li>
          ))}
        </ul>
        {passed.length === 0 && <p class="muted">Nothing yet</p>}
      </section>
      {(open.length > 0 || diagnosis.notes.length > 0) && (
        <section class="checks" aria-label="Could not be checked">
          <h2>
            Could not be checked <span class="muted">{formatCount(open.length)}</span>
          </h2>
          <ul>
            {open.map((check) => (
              <li key={check.code} data-testid="check-open" data-outcome={check.outcome}>
                <span class="check-dash" aria-hidden="true" />
                <span>
                  {check.question}
                  <span class="check-reason muted">{typeset(reasonOf(check))}</span>
                </span>
              </li>
            ))}
            {diagnosis.notes.map((note) => (
              <li key={note} data-testid="check-note">
                <span class="check-dash" aria-hidden="true" />
                <span class="muted">Not read: {note}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function reasonOf(check: Check): string {
  const reason = check.reason || "no reason was given";
  return check.outcome === "not checked" ? reason : `in part: ${reason}`;
}
