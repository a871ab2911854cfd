/** View, time, GPU, process, filter and marks stand in the address, so that a link shows the same again. */

export const VIEWS = ["overview", "map", "timeline", "processes", "moment", "compare", "incidents", "health", "fleet"] as const;
export type View = (typeof VIEWS)[number];

/** What a view is called. */
export function titleOf(view: View): string {
  return view.charAt(0).toUpperCase() + view.slice(1);
}

export interface Route {
  view: View;
  /** Unix seconds looked at; null is now. */
  time: number | null;
  /** UUID of a GPU or slice; null is all. */
  gpu: string | null;
  pid: number | null;
  filter: string;
  a: number | null;
  b: number | null;
  /** What belongs to one view: colour, bands, range, kind, event. */
  more: Readonly<Record<string, string>>;
}

const OWN_KEYS = ["t", "gpu", "pid", "q", "a", "b"];
export const EMPTY: Route = { view: "overview", time: null, gpu: null, pid: null, filter: "", a: null, b: null, more: {} };

export function parseRoute(hash: string): Route {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2) as [string, string?];
  const parameters = new URLSearchParams(query);
  const view = VIEWS.find((name) => name === path) ?? "overview";
  const more = Object.fromEntries([...parameters].filter(([name]) => !OWN_KEYS.includes(name)));
  return {
    view,
    time: numberOf(parameters.get("t")),
    gpu: parameters.get("gpu") || null, // an empty one names none
    pid: numberOf(parameters.get("pid")),
    filter: parameters.get("q") ?? "",
    a: numberOf(parameters.get("a")),
    b: numberOf(parameters.get("b")),
    more,
  };
}

export function formatRoute(route: Route): string {
  const parameters = new URLSearchParams();
  const own = { t: route.time, gpu: route.gpu, pid: route.pid, q: route.filter === "" ? null : route.filter, a: route.a, b: route.b };
  for (const [name, value] of Object.entries({ ...own, ...route.more })) {
    if (value !== null && value !== "") parameters.set(name, typeof value === "number" ? timeText(value) : value);
  }
  const query = parameters.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
  return query === "" ? `#/${route.view}` : `#/${route.view}?${query}`;
}

function timeText(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

function numberOf(text: string | null): number | null {
  if (text === null || text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}
