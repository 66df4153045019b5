import { useRef } from "preact/hooks";
import { useLayoutEffect } from "../base/hooks";
import * as view from "../data/view";
import { EVERYWHERE, type KeyNote, notes } from "./keys";

/** The list of keys, on "?": what works on the page as it is now. */
export function KeysHelp() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = view.helpOpen.value;
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  const close = () => {
    view.helpOpen.value = false;
  };
  return (
    // "close" comes only after the next keys may have come, and these may have opened it again.
    <dialog
      ref={dialog}
      class="help"
      aria-label="Keys"
      onCancel={close}
      onClose={() => dialog.current?.open || close()}
    >
      {open && (
        <div class="help-parts">
          {partsOf([...notes.value.values()]).map(([title, list]) => (
            <section key={title}>
              <h2>{title}</h2>
              <dl>
                {list.map((note) => (
                  <Key key={note.text} {...note} />
                ))}
              </dl>
            </section>
          ))}
        </div>
      )}
      <button type="button" class="button" onClick={close}>
        Close
      </button>
    </dialog>
  );
}

/** One list for each title, nothing twice. */
export function partsOf(
  all: readonly { readonly title: string; readonly notes: readonly KeyNote[] }[],
): [string, KeyNote[]][] {
  const parts = new Map<string, Map<string, KeyNote>>([[EVERYWHERE, new Map()]]);
  for (const part of all) {
    const list = parts.get(part.title) ?? new Map<string, KeyNote>();
    for (const note of part.notes) list.set(note.text, note);
    parts.set(part.title, list);
  }
  return [...parts].map(([title, list]) => [title, [...list.values()]]);
}

function Key({ keys, text }: KeyNote) {
  return (
    <>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key.replace("Arrow", "")}</kbd>
        ))}
      </dt>
      <dd>{text}</dd>
    </>
  );
}
