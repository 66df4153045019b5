/** What is seen, to take along: picture, drawing, numbers, findings, link. One menu for every lens. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { copyText } from "../base/clipboard";
import { download, downloadBlob, fileStem } from "../base/csv";
import { useEffect } from "../base/hooks";
import { snapshot } from "../base/snapshot";
import { svgText } from "../base/svg";
import * as view from "../data/view";
import { Menu, MenuItem } from "./menu";

export interface ExportMenuProps {
  /** What is shown, for the file's name; the run is put before it. */
  readonly what: string;
  /** The numbers on screen as comma-separated text; null while there are none. */
  readonly csv?: (() => string) | null;
  /** The drawing, where the lens has one. */
  readonly svg?: (() => SVGSVGElement | null) | null;
  /** Further files. */
  readonly files?: readonly ExportFile[];
}

export interface ExportFile {
  /** "JSON", "DOT". */
  readonly label: string;
  readonly extension: string;
  readonly type: string;
  readonly text: () => string;
}

/** How long what happened is said. */
const SAID_MS = 4000;

export function ExportMenu({ what, csv, svg, files = [] }: ExportMenuProps) {
  const said = useSignal("");
  /** The address, where only the user may copy it. */
  const address = useSignal<string | null>(null);
  const stem = fileStem("torchvitals", view.run.value ?? "", what);
  const clear = () => {
    said.value = "";
    address.value = null;
  };
  const act = (work: () => void | Promise<void>) => async () => {
    clear();
    try {
      await work();
    } catch (error) {
      said.value = (error as Error).message;
    }
  };
  const png = act(async () => {
    const shown = document.querySelector<HTMLElement>("#stage");
    if (shown) downloadBlob(`${stem}.png`, await snapshot(shown));
  });
  const drawing = act(() => {
    const element = svg?.();
    if (!element) throw new Error("There is no drawing yet");
    download(`${stem}.svg`, svgText(element), "image/svg+xml");
  });
  const link = act(async () => {
    const here = view.shareableAddress();
    if (here.startsWith("about:")) throw new Error("This frame has no address to share");
    if (await copyText(here)) said.value = "Link copied";
    else address.value = here;
  });
  useEffect(() => {
    if (said.value === "") return;
    const timer = setTimeout(() => {
      said.value = "";
    }, SAID_MS);
    return () => clearTimeout(timer);
  }, [said.value]);
  return (
    <span class="export">
      <Menu name="Export" testid="export-menu" onOpen={clear}>
        <MenuItem kind="PNG" onChoose={png}>
          Picture
        </MenuItem>
        {svg && (
          <MenuItem kind="SVG" onChoose={drawing}>
            Drawing
          </MenuItem>
        )}
        {csv !== undefined && (
          <MenuItem
            kind="CSV"
            disabled={csv === null}
            onChoose={act(() => {
              if (csv) download(`${stem}.csv`, csv());
            })}
          >
            Numbers
          </MenuItem>
        )}
        {files.map((file) => (
          <MenuItem
            key={file.label}
            kind={(file.extension.split(".").pop() as string).toUpperCase()}
            onChoose={act(() => download(`${stem}.${file.extension}`, file.text(), file.type))}
          >
            {file.label}
          </MenuItem>
        ))}
        <MenuItem onChoose={link}>Copy link</MenuItem>
      </Menu>
      <span class="menu-said" role="status">
        {said.value}
      </span>
      {address.value !== null && (
        <AddressField
          address={address.value}
          onDone={() => {
            address.value = null;
          }}
        />
      )}
    </span>
  );
}

/** The clipboard is closed to this frame: the address, selected, for the user's own copy command. */
function AddressField({ address, onDone }: { address: string; onDone: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  return (
    <label class="menu-address">
      The clipboard is closed here; copy the link from this field
      <input
        ref={field}
        class="field"
        readOnly
        value={address}
        data-testid="export-address"
        onBlur={onDone}
        onKeyDown={(event) => event.key === "Escape" && onDone()}
      />
    </label>
  );
}
