/** Asks this server, and no other. Addresses are relative, so that the page works behind a prefix too. */

import type { Aggregated, BlackboxEvent, Chart, Comparison, DumpInfo, Forecast, Health, OwnCost, ProcessCoverage, Report, SettingInForce, Snapshot, StackHistory } from "./answers";

/** What the server refused, in its own words. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Parameters = Readonly<Record<string, string | number | null | undefined>>;

function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The JSON of an answer. Throws `Refusal`, and what `fetch` throws where nobody answers. */
export async function ask<T>(path: string, parameters?: Parameters, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { headers: { Accept: "application/json" } };
  if (signal !== undefined) init.signal = signal;
  const response = await fetch(address(path, parameters), init);
  const isHealth = path === "healthz" && response.status === 503; // which tells the same as its 200
  if (!response.ok && !isHealth) throw new Refusal(response.status, (await response.text()).trim());
  return (await response.json()) as T;
}

/** `stacks`: what lives by stack and the sums by purpose, without the blocks. */
export type BlockDetail = "none" | "stacks";

/** The snapshot now, or as of a time; of an event: of the moment of a refusal itself. */
export function askSnapshot(time: number | null, blocks: BlockDetail, event: number | null, signal?: AbortSignal): Promise<Snapshot> {
  return time === null ? ask("vram", { blocks }, signal) : ask("vram/at", { t: time, blocks, event }, signal);
}

/** What lived by stack on one GPU, at some moments of a range. */
export function askStacks(range: { from: number; to: number }, gpu: string, points: number): Promise<StackHistory> {
  return ask("vram/stacks", { ...range, gpu, points });
}

export interface ColumnsWanted {
  gpu: string | null;
  time: number | null;
  event: number | null;
  /** Version of the answer at hand: only what has changed since is sent. */
  since: string | null;
  etag: string | null;
}

export interface ColumnsAnswer {
  body: ArrayBuffer;
  etag: string | null;
}

/** Blocks as packed columns (docs/columns.md); null where nothing is newer than the answer at hand. */
export async function askColumns({ gpu, time, event, since, etag }: ColumnsWanted, signal?: AbortSignal): Promise<ColumnsAnswer | null> {
  const init: RequestInit = { headers: etag === null ? {} : { "If-None-Match": etag }, cache: "no-store" };
  if (signal !== undefined) init.signal = signal;
  const response = await fetch(address("vram/columns", { gpu, t: time, event, since }), init);
  if (response.status === 304) return null;
  if (!response.ok) throw new Refusal(response.status, (await response.text()).trim());
  return { body: await response.arrayBuffer(), etag: response.headers.get("ETag") };
}

export function askChart(range: { from: number; to: number }, metrics: readonly string[], points: number, gpu: string | null = null, signal?: AbortSignal): Promise<Chart> {
  return ask("vram/chart", { ...range, metric: metrics.join(","), points, gpu }, signal);
}

interface EventList {
  events: readonly BlackboxEvent[];
}

/** What happened, refusals without their allocator. `folded`: those alike as one, with how often they came. */
export function askEvents(since: number | null, limit: number, detail: "light" | "folded" = "light"): Promise<EventList> {
  return ask("vram/events", { since, limit, detail });
}

/** All that is known of one event. */
export async function askEvent(event: number): Promise<BlackboxEvent | null> {
  return (await ask<EventList>("vram/events", { event })).events[0] ?? null;
}

export function askForecast(): Promise<Forecast> {
  return ask("vram/forecast");
}

export function askComparison(a: number, b: number | null, gpu: string | null): Promise<Comparison> {
  return ask("vram/compare", { a, b, gpu });
}

/** `to`: the newest time there is, which is not that of the clock where a recording is replayed. */
export function askPeaks(windowSeconds: number, to: number): Promise<Aggregated> {
  return ask("vram/aggregated", { window: `${Math.round(windowSeconds)}s`, to });
}

export function askReport(event: number): Promise<Report> {
  return ask("vram/report", { event, format: "json" });
}

/** The same as a page for people, with charts and the map. */
export function reportAddress(of: { event: number } | { dump: string }): string {
  return address("vram/report", of);
}

export function askDumps(): Promise<{ dumps: readonly DumpInfo[] }> {
  return ask("vram/dumps");
}

export function askOwnCost(): Promise<OwnCost> {
  return ask("status");
}

export function askSettings(): Promise<{ settings: readonly SettingInForce[] }> {
  return ask("settings");
}

export function askCoverage(): Promise<{ processes: readonly ProcessCoverage[] }> {
  return ask("vram/coverage");
}

export function askHealth(): Promise<Health> {
  return ask("healthz");
}

/** Trades the token for a session. Returns whether the server took it. */
export async function login(token: string): Promise<boolean> {
  const response = await fetch("login", { headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok && response.status !== 401) throw new Refusal(response.status, await response.text());
  return response.ok;
}

/** Whether a token is wanted that we do not have. */
export async function needsLogin(): Promise<boolean> {
  const response = await fetch("login");
  return response.status === 401;
}
