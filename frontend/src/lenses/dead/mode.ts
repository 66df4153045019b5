/** What this lens asks of the units, and how it lists them. Kept in the address. */
import { AILMENTS, type Ailment, usualAilment } from "../../data/ailments";
import { UNIT_ORDERS } from "../../data/lives";
import type { Manifest } from "../../data/manifest";
import { choice } from "../../data/view";

/** "auto": what the model can suffer from. */
export const chosenAilment = choice("units", ["auto", ...AILMENTS]);

export const order = choice("order", UNIT_ORDERS as unknown as ["died", "index", "silent", "revivals"]);

/** All units in the height there is, or a line each, to scroll. */
export const lines = choice("lines", ["fit", "each"]);

export function ailmentOf(manifest: Manifest | null): Ailment {
  const chosen = chosenAilment.value;
  return chosen !== "auto" ? chosen : manifest ? usualAilment(manifest) : "dead";
}
