/** The plugin's routes, relative to the page's <base>, which points at the plugin's own folder. */
import { type Container, decodeContainer } from "./container";
import { type Diagnosis, parseDiagnosis } from "./diagnosis";
import { type Manifest, parseManifest, parseRuns, type Runs } from "./manifest";

/** `status` 0: the server was not reached at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

type Query = Readonly<Record<string, string | number>>;

export async function fetchRuns(): Promise<Runs> {
  return parseRuns(await json("runs"));
}

export async function fetchManifest(run: string): Promise<Manifest> {
  return parseManifest(await json("manifest", { run }));
}

export async function fetchDiagnosis(run: string): Promise<Diagnosis> {
  return parseDiagnosis(await json("diagnosis", { run }));
}

export async function fetchContainer(route: "statistic" | "dead" | "units", query: Query): Promise<Container> {
  const response = await get(route, query);
  return decodeContainer(await response.arrayBuffer());
}

async function json(route: string, query: Query = {}): Promise<unknown> {
  const response = await get(route, query);
  try {
    return await response.json();
  } catch {
    throw new ApiError("the answer is not readable", response.status);
  }
}

async function get(route: string, query: Query): Promise<Response> {
  const search = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)])).toString();
  // The page's own address is …/data/plugin_entry.html with a <base> of …/data/plugin/torchvitals/.
  const url = new URL(search ? `${route}?${search}` : route, document.baseURI);
  let response: Response;
  try {
    response = await fetch(url, { cache: "no-store" });
  } catch {
    throw new ApiError("the server cannot be reached", 0);
  }
  if (!response.ok) throw new ApiError(await reason(response), response.status);
  return response;
}

async function reason(response: Response): Promise<string> {
  try {
    const body: unknown = JSON.parse(await response.text());
    if (typeof body === "object" && body !== null && "error" in body) return String(body.error);
  } catch {
    // not ours: a proxy's page, a traceback
  }
  return `the server answered ${response.status}`;
}
