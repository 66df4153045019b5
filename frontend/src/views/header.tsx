/** Name, lenses, run, range of steps, search: what is the same whatever one looks at, in one line. */
import * as view from "../data/view";
import { Mark, PanelIcon, SearchIcon } from "./icons";
import { RunSelect, VersusSelect } from "./run_choosers";
import { StepRange } from "./step_range";
import { Tabs } from "./tabs";

export function Header() {
  return (
    <header class="header">
      <span class="brand">
        <Mark />
        <span class="brand-name">torchvitals</span>
      </span>
      <Tabs />
      <span class="spring" />
      <RunSelect />
      <VersusSelect />
      <StepRange />
      <Search />
      <button
        type="button"
        class="button inspect"
        aria-label="Inspect"
        aria-pressed={view.inspector.value}
        title="Everything about the selected layer (i)"
        onClick={() => {
          view.inspector.value = !view.inspector.value;
        }}
      >
        <PanelIcon />
        <span class="inspect-name">Inspect</span>
      </button>
      <button
        type="button"
        class="button round"
        aria-label="Keys"
        title="Keys (?)"
        onClick={() => {
          view.helpOpen.value = true;
        }}
      >
        ?
      </button>
    </header>
  );
}

function Search() {
  return (
    <label class="field search" title="Find layer (/)">
      <SearchIcon />
      <input
        id="search"
        type="search"
        placeholder="Find layer"
        aria-label="Find layer"
        value={view.search.value}
        onInput={(event) => {
          view.search.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          view.search.value = "";
          event.currentTarget.blur();
        }}
      />
      <kbd>/</kbd>
    </label>
  );
}
