/** The few pictograms of the page, drawn on a 12 px grid in the colour of the text around them. */

function Icon({ path, kind = "" }: { path: string; kind?: string }) {
  return (
    <svg class={`icon ${kind}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

export function Chevron({ open }: { open: boolean }) {
  return <Icon path={open ? "M2.5 4.5 6 8l3.5-3.5" : "M4.5 2.5 8 6l-3.5 3.5"} />;
}

const SEVERITIES = {
  critical: "M2.5 2.5l7 7M9.5 2.5l-7 7",
  warning: "M6 1.5 11 10.5H1zM6 5v2.5M6 9v.3",
  ok: "M2 6.5 5 9.5 10 3",
  info: "M6 5.2v4.3M6 2.5v.4",
};

/** Severity is a shape and a word, and only then a colour. */
export function SeverityIcon({ severity }: { severity: keyof typeof SEVERITIES }) {
  return <Icon kind={`severity ${severity}`} path={SEVERITIES[severity]} />;
}

export const SearchIcon = () => <Icon path="M8 8l3 3M5 8.5a3.5 3.5 0 1 1 0-7 3.5 3.5 0 0 1 0 7z" />;

/** A panel at the right: the inspector. */
export const PanelIcon = () => <Icon path="M1 2h10v8H1zM7.5 2v8" />;

/** A pulse: the product's mark. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M1.5 13h5l2.5-8 4.5 14 3-9 1.5 3h4.5" />
    </svg>
  );
}

/** What is not finite, as a pattern for drawings: `url(#hatch)`. */
export function Hatch() {
  return (
    <pattern id="hatch" width="4.25" height="4.25" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect class="hatch-paper" width="4.25" height="4.25" />
      <rect class="hatch-ink" width="2" height="4.25" />
    </pattern>
  );
}
