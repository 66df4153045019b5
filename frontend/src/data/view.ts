/**
 * The one selection all lenses share, as signals mirrored in the address.
 */
import { batch, computed, effect, type Signal, signal } from "@preact/signals";
import { addressOf, onHashChange, readFields, writeFields } from "./host";
import type { Fields } from "./url_state";

interface Field {
  readonly key: string;
  readonly value: Signal<unknown>;
  readonly none: unknown;
  readonly read: (text: string) => unknown;
  readonly write: (value: never) => string;
}

const mirrored: Field[] = [];

/**
 * A signal under a key of its own in the address, which leaves it out where it is `none`. Each is read by itself and
 * falls back by itself: one bad key in an old or mangled link never costs the rest.
 */
function field<T>(
  key: string,
  none: T,
  read: (text: string) => T,
  write: (value: never) => string = String,
): Signal<T> {
  const value = signal(none);
  mirrored.push({ key, value, none, read, write });
  return value;
}

const words = (key: string): Signal<string | null> => field<string | null>(key, null, (text) => text);
const whole = (key: string, form: RegExp): Signal<number | null> =>
  field<number | null>(key, null, (text) => (form.test(text) ? Number(text) : null));
const flag = (key: string): Signal<boolean> =>
  field(
    key,
    false,
    (text) => text === "1",
    () => "1",
  );

/**
 * One of a few ways to look at something; the first is the default. To be made when a module is loaded, before the
 * address is read.
 */
export function choice<T extends string>(key: string, values: readonly [T, ...T[]]): Signal<T> {
  return field<T>(key, values[0], (text) => values.find((v) => v === text) ?? values[0]);
}

/** The same for what only the data knows the values of, as names are; empty is the default. */
export const text = (key: string): Signal<string> => field(key, "", (found) => found);

export const run = words("run");
/** A second run to compare with. */
export const versus = words("vs");
export const lens = words("lens");
export const stat = words("stat");
/** The selected row, as `addressOf` writes it. */
export const layer = words("layer");
/** Of its units the selected one. */
export const unit = whole("unit", /^\d+$/);
/** The pinned step; null follows the newest. */
export const step = whole("step", /^-?\d+$/);
export const range = field("steps", null, parseRange, (value: readonly number[]) => value.join(":"));
export const table = flag("table");
export const inspector = flag("inspector");
/** The finding last looked at, as `keyed` names it. */
export const finding = words("finding");
/** The step axis of every picture over time. */
export const axis = choice("axis", ["linear", "log"]);

/** Not in the address: these last as long as the page. */
export const search: Signal<string> = signal("");
export const helpOpen: Signal<boolean> = signal(false);

function parseRange(text: string): readonly [number, number] | null {
  const match = /^(-?\d+):(-?\d+)$/.exec(text);
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  return from < to ? [from, to] : null;
}

const written = ({ value, none, write }: Field): string | undefined =>
  value.value === none ? undefined : write(value.value as never);

const fields = computed<Fields>(() => {
  const found: Record<string, string> = {};
  for (const field of mirrored) {
    const text = written(field);
    if (text !== undefined) found[field.key] = text;
  }
  return found;
});

/** The address that opens what is seen now. */
export function shareableAddress(): string {
  return addressOf(fields.peek());
}

/** Without a run the address means the one on screen. */
function apply(fields: Fields): void {
  batch(() => {
    for (const field of mirrored) {
      const text = fields[field.key];
      if (text === written(field) || (text === undefined && field.value === run)) continue;
      field.value.value = text === undefined ? field.none : field.read(text);
    }
  });
}

/** Reads the address once, then keeps the two the same. */
export function connectAddress(): void {
  let known = "";
  const read = () => {
    known = JSON.stringify(readFields());
    apply(readFields());
  };
  read();
  onHashChange(read);
  let timer: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const latest = fields.value;
    // Browsers limit how often history may be written; a drag changes the view sixty times a second.
    clearTimeout(timer);
    timer = setTimeout(() => {
      const now = JSON.stringify(readFields());
      // A link pasted meanwhile, of which the browser has not told yet, is not written over.
      if (now !== known && now !== "{}") return read();
      writeFields(latest);
      known = JSON.stringify(readFields());
    }, 120);
  });
}

/** Another run: what was chosen stays chosen where it can, but steps and findings mean nothing in another run. */
export function chooseRun(name: string): void {
  batch(() => {
    run.value = name;
    if (versus.peek() === name) versus.value = null;
    step.value = null;
    range.value = null;
    finding.value = null;
  });
}

/** Leads back to the run on screen and where in it one looks now. */
export function wayBack(): () => void {
  const place: readonly Signal<unknown>[] = [run, versus, step, range, finding];
  const kept = place.map((part) => part.peek());
  return () =>
    batch(() => {
      place.forEach((part, i) => {
        part.value = kept[i];
      });
    });
}
