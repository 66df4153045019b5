import type { ComponentChildren } from "preact";
import { SeverityIcon } from "./icons";

export interface BannerProps {
  readonly testid?: string;
  readonly severity: "critical" | "warning";
  readonly action?: string;
  readonly onAction?: () => void;
  readonly onClose?: () => void;
  readonly children: ComponentChildren;
}

/** What is wrong with the data as a whole, in one line; never over the picture. */
export function Banner({ testid = "error-banner", severity, action, onAction, onClose, children }: BannerProps) {
  return (
    <div class={`banner ${severity}`} role={severity === "critical" ? "alert" : "status"} data-testid={testid}>
      <SeverityIcon severity={severity} />
      <span class="banner-text">
        <strong>{severity === "critical" ? "Error" : "Note"}</strong> {children}
      </span>
      {action && (
        <button type="button" class="button" onClick={onAction}>
          {action}
        </button>
      )}
      {onClose && (
        <button type="button" class="button" onClick={onClose}>
          Dismiss
        </button>
      )}
    </div>
  );
}
