import { useEffect, useRef } from "preact/hooks";
import * as view from "../data/view";
import { LENSES } from "../lenses/registry";

/** The list of keys, on "?". */
export function KeysHelp() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = view.helpOpen.value;
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  const close = () => {
    view.helpOpen.value = false;
  };
  return (
    <dialog ref={dialog} class="help" aria-label="Keys" onClose={close}>
      <h2>Keys</h2>
      <dl>
        {LENSES.map((lens, i) => (
          <Key key={lens.id} keys={[String(i + 1)]} text={lens.title} />
        ))}
        <Key keys={["/"]} text="Find a layer" />
        <Key keys={["↑", "↓"]} text="Previous, next row or finding" />
        <Key keys={["→", "←"]} text="Open, close a group or a finding; on the heat map the next, previous step" />
        <Key keys={["Home", "End"]} text="First, last row; on the heat map the first, last step" />
        <Key keys={["[", "]"]} text="Previous, next sampled step" />
        <Key keys={["0"]} text="Show all steps" />
        <Key keys={["t"]} text="Pictures or tables" />
        <Key keys={["?"]} text="This list" />
      </dl>
      <h2>Pointer</h2>
      <dl>
        <Key keys={["Click"]} text="Pin the cursor" />
        <Key keys={["Drag"]} text="Zoom to a range of steps" />
        <Key keys={["Double click"]} text="Show all steps" />
        <Key keys={["Ctrl", "Wheel"]} text="Zoom the steps" />
        <Key keys={["Shift", "Wheel"]} text="Move along the steps" />
      </dl>
      <button type="button" class="button" onClick={close}>
        Close
      </button>
    </dialog>
  );
}

function Key({ keys, text }: { keys: readonly string[]; text: string }) {
  return (
    <>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{text}</dd>
    </>
  );
}
