/** The plugin's routes, relative to the page's <base>, which points at the plugin's own folder. */
import { type Signal, signal } from "@preact/signals";
import { type Container, decodeContainer } from "./container";
import { type Diagnosis, parseDiagnosis } from "./diagnosis";
import { type Manifest, parseManifest, parseRuns, type Runs } from "./manifest";

/** The server did not answer one of the last questions; the next list of runs that comes ends it. */
export const lost: Signal<boolean> = signal(false);

/** `status` 0: the server was not reached at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** What went wrong, in words; null: the server is not there, which `lost` says. */
export function failureOf(error: unknown): string | null {
  if (error instanceof ApiError && error.status === 0) return null;
  return error instanceof Error ? error.message : String(error);
}

type Query = Readonly<Record<string, string | number>>;

/** The list of runs takes no time: a server that has not given it by then hangs. All else may have to be made first. */
const [PATIENCE_MS, LONG_PATIENCE_MS] = [20_000, 180_000];

export async function fetchRuns(): Promise<Runs> {
  return parseRuns(await json("runs"));
}

export async function fetchManifest(run: string): Promise<Manifest> {
  return parseManifest(await json("manifest", { run }));
}

export async function fetchDiagnosis(run: string): Promise<Diagnosis> {
  return parseDiagnosis(await json("diagnosis", { run }));
}

export async function fetchContainer(
  route: "statistic" | "dead" | "units" | "histograms" | "scalars",
  query: Query,
): Promise<Container> {
  return decodeContainer(await get(route, query));
}

async function json(route: string, query: Query = {}): Promise<unknown> {
  const found = parsed(await get(route, query));
  if (found === undefined) throw new ApiError("the answer is not readable", 200);
  return found;
}

async function get(route: string, query: Query): Promise<ArrayBuffer> {
  const search = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)])).toString();
  // The page's own address is …/data/plugin_entry.html with a <base> of …/data/plugin/torchvitals/.
  const url = new URL(search ? `${route}?${search}` : route, document.baseURI);
  const signal = AbortSignal.timeout(route === "runs" ? PATIENCE_MS : LONG_PATIENCE_MS);
  let [status, body] = [0, new ArrayBuffer(0)];
  try {
    const response = await fetch(url, { cache: "no-store", signal });
    body = await response.arrayBuffer();
    status = response.status;
  } catch {
    // Not there, too late, or gone half-way through.
  }
  // What a proxy says while there is no server behind it.
  if (status === 0 || (status > 501 && status < 505)) {
    lost.value = true;
    throw new ApiError("the server cannot be reached", 0);
  }
  if (status > 299) {
    const said = parsed(body) as { error?: unknown } | null | undefined;
    throw new ApiError(String(said?.error ?? `the server answered ${status}`), status);
  }
  return body;
}

/** Undefined: not JSON, as a proxy's page or a traceback. */
function parsed(body: ArrayBuffer): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
