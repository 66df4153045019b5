/** The few pictograms of the page, drawn on a 12 px grid in the colour of the text around them. */

export function Chevron({ open }: { open: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 12 12" aria-hidden="true">
      <path d={open ? "M2.5 4.5 6 8l3.5-3.5" : "M4.5 2.5 8 6l-3.5 3.5"} />
    </svg>
  );
}

/** A pulse: the product's mark. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M1.5 13h5l2.5-8 4.5 14 3-9 1.5 3h4.5" />
    </svg>
  );
}

/** Severity is a shape and a word, and only then a colour. */
export function SeverityIcon({ severity }: { severity: "critical" | "warning" | "ok" | "info" }) {
  return (
    <svg class={`icon severity ${severity}`} viewBox="0 0 12 12" aria-hidden="true">
      {severity === "critical" && <path d="M2.5 2.5l7 7M9.5 2.5l-7 7" />}
      {severity === "warning" && <path d="M6 1.5 11 10.5H1zM6 5v2.5M6 9v.3" />}
      {severity === "ok" && <path d="M2 6.5 5 9.5 10 3" />}
      {severity === "info" && <path d="M6 5.2v4.3M6 2.5v.4" />}
    </svg>
  );
}

export function SearchIcon() {
  return (
    <svg class="icon" viewBox="0 0 12 12" aria-hidden="true">
      <path d="M8 8l3 3M5 8.5a3.5 3.5 0 1 1 0-7 3.5 3.5 0 0 1 0 7z" />
    </svg>
  );
}
