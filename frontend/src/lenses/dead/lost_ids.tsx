import { formatCount, plural } from "../../base/format";
import { CopyButton } from "../../views/copy_button";

export interface LostIdsProps {
  readonly ids: readonly number[];
  readonly total: number;
  /** "dead", "dormant". */
  readonly noun: string;
}

/** The dead (or dormant) units by number. */
export function LostIds({ ids, total, noun }: LostIdsProps) {
  const full = ids.join(", ");
  const some = ids.length > 0;
  return (
    <div class="unit-ids">
      <h3>{some ? `${plural(ids.length, `${noun} unit`)} of ${formatCount(total)}` : `No ${noun} units`}</h3>
      {some && <CopyButton class="button" text={full} label="Copy ids" />}
      <p tabIndex={some ? 0 : -1} data-testid={`${noun}-unit-ids`}>
        {full}
      </p>
    </div>
  );
}
