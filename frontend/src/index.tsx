/** Entry of the page: the host imports this module and calls `render`. */
import { render as mount } from "preact";
import { forwardKeys } from "./data/host";
import { startSession } from "./data/session";
import { connectAddress } from "./data/view";
import { App } from "./views/app";
import css from "./views/style.css?inline";
import { connectTheme } from "./views/theme";

export function render(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  document.documentElement.lang = "en";
  document.title ||= "torchvitals";
  connectAddress();
  forwardKeys();
  connectTheme();
  startSession();
  mount(<App />, document.body);
}
