/** One line above a picture: what is there, and how to read it. */
import { SeverityIcon } from "./icons";

export interface VerdictLineProps {
  readonly verdict: { readonly severity: "critical" | "warning" | "ok" | "info"; readonly text: string } | null;
  readonly note: string;
}

export function VerdictLine({ verdict, note }: VerdictLineProps) {
  return (
    <div class="verdict">
      {verdict && (
        <span class={`verdict-text ${verdict.severity}`} data-testid="verdict" title={verdict.text}>
          <SeverityIcon severity={verdict.severity} />
          {verdict.text}
        </span>
      )}
      {note && (
        <span class="verdict-note muted" title={note}>
          {note}
        </span>
      )}
    </div>
  );
}
