/** Asks this server, and no other. Addresses are relative, so that the page works behind a prefix too. */

import type { Aggregated, BlackboxEvent, Chart, Comparison, DumpInfo, Forecast, Health, OwnCost, Report, SettingInForce, Snapshot } from "./answers";

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

export type BlockDetail = "none" | "summary" | "full";

/** The snapshot now, or as of a time. */
export function askSnapshot(time: number | null, blocks: BlockDetail, gpu: string | null, signal?: AbortSignal): Promise<Snapshot> {
  return time === null ? ask("vram", { blocks, gpu }, signal) : ask("vram/at", { t: time, blocks, gpu }, signal);
}

export function askChart(range: { from: number; to: number }, metrics: readonly string[], points: number, gpu: string | null = null): Promise<Chart> {
  return ask("vram/chart", { ...range, metric: metrics.join(","), points, gpu });
}

export function askEvents(since: number | null, limit: number): Promise<{ events: readonly BlackboxEvent[] }> {
  return ask("vram/events", { since, limit });
}

export function askForecast(): Promise<Forecast> {
  return ask("vram/forecast");
}

export function askComparison(a: number, b: number | null, gpu: string | null): Promise<Comparison> {
  return ask("vram/compare", { a, b, gpu });
}

export function askPeaks(windowSeconds: number): Promise<Aggregated> {
  return ask("vram/aggregated", { window: `${Math.round(windowSeconds)}s` });
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

/** The moment of a refusal itself, with the process as its agent saw it then. */
export function askRefusal(event: number, time: number, signal: AbortSignal): Promise<Snapshot> {
  return ask("vram/at", { t: time, event, blocks: "full" }, signal);
}

export function askOwnCost(): Promise<OwnCost> {
  return ask("status");
}

export function askSettings(): Promise<{ settings: readonly SettingInForce[] }> {
  return ask("settings");
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
