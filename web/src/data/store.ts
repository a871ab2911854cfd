/** The state of the page: what the address says, what the stream brings, and what is shown of it. */

import { batch, computed, effect, signal } from "@preact/signals";
import type { BlackboxEvent, Forecast, Snapshot } from "./answers";
import { timeOf } from "./answers";
import { askEvents, askForecast, askChart, askSnapshot, Refusal } from "./api";
import { clock, setToday } from "./format";
import { type GpuLedger, kept, leaves, ledgersOf } from "./ledger";
import { whileVisible } from "./poll";
import { formatRoute, parseRoute, type Route } from "./route";
import { Tracks } from "./series";
import { shared } from "./shared";
import { type Connection, SnapshotStream } from "./stream";

export const STRIP_SECONDS = 300;
/** Of the five minutes before a time that is long past, and the half after it. */
const PAST_POINTS = STRIP_SECONDS * 1.5;
const EVENTS_KEPT_MAX = 500;
const EVENTS_EVERY_MS = 4000;
const FORECAST_EVERY_MS = 5000;
/** While nobody works with the page, and nothing fills or is too new to tell. */
const CALM_FORECAST_EVERY_MS = 15_000;
/** After so long without a sample the tracks are taken from the recording again. */
const RESEED_SECONDS = 5;

// What the address says

export const route = signal<Route>(parseRoute(location.hash));

/** Browsers refuse to rewrite the address more often than a hundred times in half a minute, which dragging would. Each
 * time costs them half a frame, so that it waits for the end of a drag or a zoom, but for so long at most. */
const ADDRESS_REST_MS = 400;
const ADDRESS_WAIT_MS_MAX = 2000;
let writing: ReturnType<typeof setTimeout> | undefined;
let writtenAt = -Infinity;
let changedAt = -Infinity;

/** Goes where `change` leads. Steps in time and typing replace the entry in the browser's history; views add one. */
export function go(change: Partial<Route>): void {
  const next = { ...route.value, ...change };
  if (formatRoute(next) === formatRoute(route.value)) return;
  if (next.view === route.value.view) {
    route.value = next;
    writeAtRest();
  } else {
    writeAddress();
    history.pushState(null, "", formatRoute(next));
    route.value = next;
  }
}

/** Writes what is the first change after a rest at once, what follows it when it has come to rest. */
function writeAtRest(): void {
  const now = performance.now();
  const hasRested = now - Math.max(changedAt, writtenAt) >= ADDRESS_REST_MS;
  changedAt = now;
  if (hasRested || now - writtenAt >= ADDRESS_WAIT_MS_MAX) writeAddress();
  else {
    clearTimeout(writing);
    writing = setTimeout(writeAddress, ADDRESS_REST_MS);
  }
}

/** Brings the address bar in line with what is shown. */
export function writeAddress(): void {
  clearTimeout(writing);
  writing = undefined;
  writtenAt = performance.now();
  const hash = formatRoute(route.peek());
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

export function goMore(more: Readonly<Record<string, string | null>>): void {
  const merged = { ...route.value.more, ...more };
  go({ more: Object.fromEntries(Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null)) });
}

/** The refusal whose moment is looked at: itself, not the last reading before it. */
export function eventOf({ time, more }: Route): number | null {
  const event = Number(more["event"] ?? NaN);
  return time !== null && Number.isInteger(event) ? event : null;
}

/** The address of a place, for links. */
export function linkTo(change: Partial<Route>): string {
  return formatRoute({ ...route.value, more: {}, ...change });
}

// What the stream brings

export const live = signal<Snapshot | null>(null);
export const connection = signal<Connection>({ state: "connecting" });
export const tracks = new Tracks();
/** Grows when `tracks` has changed. */
export const tracksVersion = signal(0);
/** Grows when they were taken from the recording. */
export const tracksSeeded = signal(0);
export const events = signal<readonly BlackboxEvent[]>([]);
/** The same, those alike as one, oldest first: folded by the server, which knows older ones too. */
export const incidents = signal<readonly BlackboxEvent[]>([]);
/** Why nothing recorded can be shown; null where a recording is kept. */
export const noRecording = signal<string | null>(null);
/** Why a time cannot be asked for: before the recording, or without one; null where it can. */
export function whyNotRecorded(time: number): string | null {
  if (noRecording.value !== null) return noRecording.value;
  if (recordedSince.value === null) return "the recording has not answered yet";
  return time < recordedSince.value - ADDRESS_SECONDS ? `the recording begins ${clock(recordedSince.value)}` : null;
}
/** Times in addresses are rounded to it. */
const ADDRESS_SECONDS = 0.001;

/** So long before a time, or where the recording begins: what stands in an address is never before that, however it is rounded. */
export function recordedBefore(time: number, seconds: number): number {
  const begin = recordedSince.value;
  return begin === null ? time - seconds : Math.max(time - seconds, Math.ceil(begin / ADDRESS_SECONDS) * ADDRESS_SECONDS);
}
export const forecast = signal<Forecast | null>(null);
/** When the recording begins, as far as we have asked. */
export const recordedSince = signal<number | null>(null);
export const framesMissed = signal(0);

// What is shown

const past = signal<{ time: number; event: number | null; snapshot: Snapshot | null; error: string | null } | null>(null);

/** The snapshot on the page: the newest, or that of the time looked at. */
export const shown = computed<Snapshot | null>(() => {
  if (route.value.time === null) return live.value;
  return past.value?.snapshot ?? null;
});
/** Why the time looked at cannot be shown. */
export const pastError = computed(() => (route.value.time === null ? null : (past.value?.error ?? null)));
let lastLedgers: readonly GpuLedger[] = [];
/** GPUs that have not changed are the same objects as before. */
export const ledgers = computed<readonly GpuLedger[]>(() => (lastLedgers = shown.value === null ? [] : kept(lastLedgers, ledgersOf(shown.value))));
export const gpuLeaves = computed(() => leaves(ledgers.value));
const NO_ENGINES: Snapshot["engines"] = [];
export const engines = computed(() => shown.value?.engines ?? NO_ENGINES);
/** Now, as the newest sample says. */
export const now = computed(() => (live.value === null ? Date.now() / 1000 : timeOf(live.value)));
/** The time looked at, or now. */
export const cursor = computed(() => route.value.time ?? now.value);
export const isDemo = computed(() => (live.value ?? past.value?.snapshot)?.simulated ?? false);

export const stream = new SnapshotStream(onSnapshot, (next) => {
  connection.value = shared(connection.peek(), next); // with every sample it is live still
});

/** The time looked at, where the readings at hand do not reach back to it. */
const longPast = computed(() => (route.value.time !== null && route.value.time < now.value - STRIP_SECONDS ? route.value.time : null));
/** Readings around such a time, from the recording, and of which minutes they are. */
const pastTracks = signal<{ from: number; to: number; tracks: Tracks } | null>(null);
const NO_TRACKS = new Tracks();
/** Readings around the time looked at: of the last minutes, or of some minutes long past; none while those are asked for. */
export const tracksShown = computed(() => {
  const [time, seeded] = [longPast.value, pastTracks.value];
  if (time === null) return tracks;
  return seeded !== null && seeded.from <= time && time <= seeded.to ? seeded.tracks : NO_TRACKS;
});
/** The time whose minutes are wanted from the recording. */
const pastWanted = computed(() => (route.value.view === "fleet" || noRecording.value !== null ? null : longPast.value));
let asking: AbortController | null = null;

/** Takes the minutes around a time that is long past from the recording, the newest request alone. */
function seedPast(): void {
  const time = pastWanted.value;
  asking?.abort();
  if (time === null) return;
  asking = new AbortController();
  const { signal: aborted } = asking;
  const [from, to] = [time - STRIP_SECONDS, time + STRIP_SECONDS / 2];
  askChart({ from, to }, ["used_bytes"], PAST_POINTS, null, aborted)
    .then((recorded) => {
      if (aborted.aborted) return;
      const found = new Tracks();
      found.seed(recorded);
      pastTracks.value = { from, to, tracks: found };
    })
    .catch(() => undefined); // what is shown of that time says why it cannot be
}

/** Has the readings at hand that are looked at; returns the way to stop. */
export function followPast(): () => void {
  return effect(seedPast);
}

/** The newest sample that came; that on the page may be a little older. */
let newest: { seq: number; time: number } | null = null;

export function onSnapshot(came: Snapshot): void {
  const before = newest;
  newest = { seq: came.seq, time: timeOf(came) };
  const silence = before === null ? Infinity : newest.time - before.time;
  tracks.add(came);
  if (before !== null && came.seq > before.seq + 1) framesMissed.value += came.seq - before.seq - 1;
  const onPage = live.peek();
  if (onPage !== null && silence >= 0 && newest.time - timeOf(onPage) < (isInUse() ? 0 : untouchedEvery())) return;
  setToday(newest.time);
  batch(() => {
    live.value = shared(onPage ?? undefined, came);
    tracksVersion.value++;
    if (forecastWaiting !== null) tellForecast(forecastWaiting);
  });
  if (silence > RESEED_SECONDS || silence < 0) void seed();
}

/** So long after the last touch somebody still works with the page. */
const IN_USE_MS = 30_000;
/** While nobody does, it is drawn every other second, and the timeline, a pixel of which is about as long, every fourth:
 * every sample is kept, but for a glance that is enough. A little less than that, since samples are not quite even. */
const UNTOUCHED_EVERY_SECONDS = 1.9;
export const UNTOUCHED_TIMELINE_SECONDS = 3.9;
const TOUCHES = ["pointerdown", "pointermove", "keydown", "wheel"] as const;
/** Who has just opened it looks at it. */
let touchedAt = performance.now();

/** Somebody has worked with the page a moment ago. */
export function isInUse(): boolean {
  return performance.now() - touchedAt < IN_USE_MS;
}

function untouchedEvery(): number {
  return route.peek().view === "timeline" ? UNTOUCHED_TIMELINE_SECONDS : UNTOUCHED_EVERY_SECONDS;
}

function noteTouches(): void {
  const note = () => (touchedAt = performance.now());
  for (const kind of TOUCHES) document.addEventListener(kind, note, { passive: true, capture: true });
}

/** Takes the last minutes from the recording. */
async function seed(): Promise<void> {
  const to = now.peek();
  try {
    const recorded = await askChart({ from: to - STRIP_SECONDS, to }, ["used_bytes"], STRIP_SECONDS);
    tracks.seed(recorded);
    const newest = live.peek();
    if (newest !== null) tracks.add(newest);
    batch(() => {
      noRecording.value = null;
      recordedSince.value = recorded.recorded_from;
      tracksVersion.value++;
      tracksSeeded.value++;
    });
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) {
      noRecording.value = error.message;
      return;
    }
  }
  await Promise.all([refreshEvents(true), refreshForecast()]);
}

async function refreshEvents(all: boolean): Promise<void> {
  const newest = all ? undefined : events.peek().at(-1);
  try {
    const answer = await askEvents(newest?.timestamp ?? null, EVENTS_KEPT_MAX);
    const known = new Set(all ? [] : events.peek().map((event) => event.id));
    const fresh = answer.events.filter((event) => !known.has(event.id));
    if (!all && fresh.length === 0) return;
    const { events: folded } = await askEvents(null, EVENTS_KEPT_MAX, "folded");
    batch(() => {
      events.value = [...(all ? [] : events.peek()), ...fresh].slice(-EVENTS_KEPT_MAX);
      incidents.value = folded;
    });
  } catch {
    // the stream tells of lost connections, `seed` of a missing recording
  }
}

/** What came while nobody worked with the page: told with the next sample that is drawn, so that it is drawn once for both. */
let forecastWaiting: Forecast | null = null;

let forecastAskedAt = -Infinity;

function forecastIsDue(): boolean {
  const isCalm = forecast.peek()?.gpus.every((outlook) => outlook.full_in_seconds === null && outlook.predictable_from === null) ?? false;
  return isInUse() || !isCalm || performance.now() - forecastAskedAt >= CALM_FORECAST_EVERY_MS - FORECAST_EVERY_MS / 2;
}

export async function refreshForecast(): Promise<void> {
  forecastAskedAt = performance.now();
  try {
    const found = await askForecast();
    if (isInUse() || forecast.peek() === null) tellForecast(found);
    else forecastWaiting = found;
  } catch {
    forecastWaiting = null;
    forecast.value = null;
  }
}

function tellForecast(found: Forecast): void {
  forecastWaiting = null;
  forecast.value = shared(forecast.peek() ?? undefined, found);
}

/** Begins: stream, recording, address. Called once. */
export function start(): void {
  window.addEventListener("hashchange", () => {
    clearTimeout(writing);
    writing = undefined;
    route.value = parseRoute(location.hash);
  });
  noteTouches();
  stream.start();
  const active = () => connection.peek().state === "live" && noRecording.peek() === null;
  whileVisible(() => active() && refreshEvents(false), EVENTS_EVERY_MS);
  whileVisible(() => active() && forecastIsDue() && refreshForecast(), FORECAST_EVERY_MS);
  effect(loadPast);
  followPast();
}

let asked: AbortController | null = null;

/** Fetches the snapshot of the time looked at, the newest request alone. */
function loadPast(): void {
  const time = route.value.time;
  asked?.abort();
  if (time === null) {
    past.value = null;
    return;
  }
  if (route.value.view === "fleet") return; // that time is asked of all machines, and may be long before this one's recording
  const event = eventOf(route.value);
  if (past.peek()?.time === time && past.peek()?.event === event && past.peek()?.snapshot !== null) return;
  asked = new AbortController();
  const { signal } = asked;
  askSnapshot(time, "none", event, signal)
    .then((snapshot) => {
      past.value = { time, event, snapshot, error: null };
    })
    .catch((error: unknown) => {
      if (signal.aborted) return;
      past.value = { time, event, snapshot: null, error: error instanceof Error ? error.message : String(error) };
    });
}

// Time

export function goLive(): void {
  go({ time: null });
}

export function lookAt(time: number): void {
  const newest = now.peek();
  const { event: _, ...more } = route.peek().more; // the moment of an event is that of no other time
  go({ time: time >= newest ? null : Math.round(time * 10) / 10, more });
}

export function togglePause(): void {
  if (route.peek().time === null) go({ time: now.peek() });
  else goLive();
}
