/** Said only when it takes long: most answers come before one could read it. */
import { useEffect, useState } from "preact/hooks";
import { problem } from "../data/session";

const PATIENCE_MS = 600;

export function Waiting({ text = "Loading…" }: { text?: string }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return <div class="waiting">{late && !problem.value ? text : ""}</div>;
}
