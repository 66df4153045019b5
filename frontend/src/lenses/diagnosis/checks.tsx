/** What was looked at without finding anything, and what could not be looked at. */
import type { ComponentChildren } from "preact";
import { formatCount } from "../../base/format";
import type { Check, Diagnosis } from "../../data/diagnosis";
import { SeverityIcon } from "../../views/icons";
import { typeset } from "./words";

export function Checks({ diagnosis: { checks, notes } }: { diagnosis: Diagnosis }) {
  const passed = checks.filter((c) => c.outcome === "passed");
  const open = checks.filter((c) => c.outcome === "not checked" || c.reason !== "");
  return (
    <>
      <Part title="Checked and passed" count={passed.length}>
        {passed.map((check) => (
          <li key={check.code} data-testid="check-passed">
            <SeverityIcon severity="ok" />
            <div>{check.question}</div>
          </li>
        ))}
      </Part>
      {open.length + notes.length > 0 && (
        <Part title="Could not be checked" count={open.length}>
          {open.map((check) => (
            <li key={check.code} data-testid="check-open">
              <span class="check-dash" />
              <div>
                {check.question}
                <div class="muted">{typeset(reasonOf(check))}</div>
              </div>
            </li>
          ))}
          {notes.map((note) => (
            <li key={note} class="muted" data-testid="check-note">
              <span class="check-dash" />
              <div>Not read: {note}</div>
            </li>
          ))}
        </Part>
      )}
    </>
  );
}

function Part({ title, count, children }: { title: string; count: number; children: ComponentChildren }) {
  return (
    <section class="checks">
      <h2>
        {title} <span class="muted">{formatCount(count)}</span>
      </h2>
      <ul>{children}</ul>
    </section>
  );
}

function reasonOf({ outcome, reason }: Check): string {
  return (outcome === "not checked" ? "" : "in part: ") + (reason || "no reason was given");
}
