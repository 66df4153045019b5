/**
 * "View as table": the numbers of a picture as a real table. Pages keep it small: what is on one page is in the
 * document, and nothing else.
 */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { formatCount } from "../base/format";

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** What a cell says, and the attributes of its element. */
export type Cell = readonly [text?: ComponentChildren, attributes?: Attributes];

export interface Line {
  /** The first cell is the head of the line. */
  readonly cells: readonly Cell[];
  readonly attributes?: Attributes;
}

export interface DataTableProps {
  readonly testid: string;
  /** For who does not see it. */
  readonly label: string;
  readonly attributes?: Attributes;
  readonly pagers?: ComponentChildren;
  readonly note?: ComponentChildren;
  readonly head: readonly Cell[];
  readonly lines: readonly Line[];
}

export function DataTable({ testid, label, attributes, pagers, note, head, lines }: DataTableProps) {
  return (
    <div class="table-view">
      {(pagers || note) && (
        <div class="table-pages">
          {pagers}
          <span class="muted">{note}</span>
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and by keys too */}
      <div class="table-scroll" role="region" aria-label={label} tabIndex={0}>
        <table data-testid={testid} {...attributes}>
          <thead>
            <tr>
              {head.map(([text, own], i) => (
                <th key={i} scope="col" {...own}>
                  {text}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map(({ cells, attributes: own }, i) => (
              <tr key={i} {...own}>
                {cells.map(([text, of], k) => {
                  const Tag = k === 0 ? "th" : "td";
                  return (
                    <Tag key={k} scope={k === 0 ? "row" : undefined} {...of}>
                      {text}
                    </Tag>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** Which of `total` things are on the page, and the control that turns it. At first the page with `home` is open. */
export function usePages(noun: string, total: number, size: number, home = 0) {
  // Until a page is turned, the one with `home`: what is new does not move it.
  const [turned, setTurned] = useState<number | null>(null);
  const most = Math.max(0, Math.ceil(total / size) - 1);
  const page = Math.min(most, turned ?? Math.floor(Math.max(0, home) / size));
  const from = page * size;
  const to = Math.min(total, from + size);
  const turn = (next: number, way: string, sign: string) => (
    <button
      type="button"
      disabled={next < 0 || next > most}
      aria-label={`${way} ${noun.toLowerCase()}`}
      onClick={() => setTurned(next)}
    >
      {sign}
    </button>
  );
  const pager = (
    <span class="pager">
      {noun} {formatCount(Math.min(total, from + 1))}–{formatCount(to)} of {formatCount(total)}
      {most > 0 && (
        <span class="segmented">
          {turn(page - 1, "Previous", "‹")}
          {turn(page + 1, "Next", "›")}
        </span>
      )}
    </span>
  );
  return { from, to, pager };
}
