import { lost } from "../data/api";
import { Mark } from "./icons";
import { NO_ANSWER } from "./waiting";

const CODE = `from torchvitals import attach_hooks
attach_hooks(model, writer)`;

/** No run yet: what to do, in the two lines it takes. */
export function EmptyState() {
  return (
    <div class="empty" data-testid="empty-state">
      <Mark />
      <h1>No vital signs yet</h1>
      <p>
        Add two lines before your training loop; <code>writer</code> is the SummaryWriter you already use
      </p>
      <pre>
        <code>{CODE}</code>
      </pre>
      <p class="muted">{lost.value ? NO_ANSWER : "This page opens by itself when the first sample is written"}</p>
    </div>
  );
}
