/** Said only when it takes long: most answers come before one could read it. */
import { useState } from "preact/hooks";
import { useEffect } from "../base/hooks";
import { lost } from "../data/api";
import { problem } from "../data/session";
import { VerdictLine } from "./verdict_line";

const PATIENCE_MS = 600;

/** Where there is nothing to show until it does. */
export const NO_ANSWER = "The server does not answer; trying again";

export function Waiting({ text = "Loading…" }: { text?: string }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return <div class="waiting">{late && !problem.value ? (lost.value ? NO_ANSWER : text) : ""}</div>;
}

/** A lens that knows nothing yet: its bars are there, so that nothing moves when the rest comes. */
export function WaitingLens() {
  return (
    <div class="lens">
      <div class="toolbar" />
      <VerdictLine verdict={null} note="" />
      <Waiting />
    </div>
  );
}
