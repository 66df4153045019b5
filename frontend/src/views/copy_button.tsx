import { useState } from "preact/hooks";
import { copyText } from "../base/clipboard";

/** Puts a text on the clipboard and says so. Where that is closed, the text is on the page and can be selected. */
export function CopyButton({ text, label, ...rest }: { text: string; label: string; class: string }) {
  const [copied, setCopied] = useState<string | null>(null);
  return (
    <button
      type="button"
      {...rest}
      onClick={() => void copyText(text).then((worked) => setCopied(worked ? text : null))}
    >
      {copied === text ? "Copied" : label}
    </button>
  );
}
