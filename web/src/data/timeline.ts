/** What the timeline shows: its range, and the recording within it, asked for again as time goes on. */

import { batch, computed, effect, signal } from "@preact/signals";
import type { BlackboxEvent, Chart } from "./answers";
import { askChart } from "./api";
import { METRICS } from "./bands";
import { events, isInUse, noRecording, now, recordedSince, route, UNTOUCHED_TIMELINE_SECONDS } from "./store";

export const RANGES = [
  { value: 300, text: "5 min" },
  { value: 3600, text: "1 h" },
  { value: 86_400, text: "24 h" },
] as const;
/** All that is recorded, as a range. */
export const ALL = "all";
const POINTS = 300;
/** Of a recording that is worth a picture: that of a memory snapshot may be over in microseconds. */
const SHORTEST_SECONDS = 1;
const WHOLE_EVERY_SECONDS = 60;
/** A recording that is younger does not stretch over the whole width: it would shrink with every second. */
const NARROWEST_SECONDS = 60;
/** Share of a range by which it may have grown before it is asked for again. */
const GROWN_SHARE = 0.02;

export interface Range {
  from: number;
  to: number;
  isFixed: boolean;
}

/** The newest time on the charts: while nobody works with the page, that of the last answer, so that each is drawn once for both. */
const edge = signal<number | null>(null);

/** The range in the address: fixed by a brush, or so long before the time looked at. */
export const range = computed<Range>(() => rangeUntil(edge.value ?? now.value));
/** The same, as it is wanted from the recording. */
const wanted = computed<Range>(() => rangeUntil(now.value));

function rangeUntil(newest: number): Range {
  const { more, time } = route.value;
  const [from, to] = [Number(more["from"]), Number(more["to"])];
  if (more["from"] !== undefined && more["to"] !== undefined && Number.isFinite(from) && to > from) return { from, to, isFixed: true };
  const begin = recordedSince.value ?? newest - RANGES[0].value;
  if (more["range"] === ALL) return { from: Math.min(begin, newest - NARROWEST_SECONDS), to: newest, isFixed: false };
  const seconds = Number(more["range"]) > 0 ? Number(more["range"]) : RANGES[0].value;
  const end = time === null ? newest : Math.min(newest, time + seconds / 2);
  return { from: Math.max(end - seconds, Math.min(begin, end - NARROWEST_SECONDS)), to: end, isFixed: false };
}

export const recorded = signal<Chart | null>(null);
export const whole = signal<Chart | null>(null);
export const timelineError = signal<string | null>(null);
/** Under the pointer, on any chart. */
export const pointed = signal<number | null>(null);

/** Seconds that may pass before the same range is asked for again. */
function everySeconds(seconds: number): number {
  return Math.max(isInUse() ? 0 : UNTOUCHED_TIMELINE_SECONDS, seconds <= 600 ? 2 : seconds <= 7200 ? 10 : 60);
}

/** What happened in a range: events as the page has them, and of what is older than those the marks of the recording. */
export function eventsWithin(from: number, to: number): BlackboxEvent[] {
  const known = new Set(events.value.map((event) => event.id));
  const older = (recorded.value?.marks ?? []).filter((mark) => !known.has(mark.id));
  return [...older, ...events.value].filter((event) => event.timestamp >= from && event.timestamp <= to).toSorted((a, b) => a.timestamp - b.timestamp);
}

/** Begins to follow; returns the way to stop. */
export function followTimeline(): () => void {
  const isBusy = signal(false); // a range that was wanted meanwhile is asked for when the answer has come
  let isWanted = true;
  let last = { from: 0, to: 0 };

  const load = async (from: number, to: number) => {
    isBusy.value = true;
    const newest = now.peek();
    try {
      const answer = await askChart({ from, to }, METRICS, POINTS);
      if (isWanted)
        batch(() => {
          recorded.value = answer;
          timelineError.value = null;
          if (edge.peek() !== null) edge.value = newest;
        });
    } catch (error) {
      batch(() => {
        timelineError.value = error instanceof Error ? error.message : String(error);
        if (edge.peek() !== null) edge.value = newest;
      });
    }
    isBusy.value = false;
  };
  let isWholeBusy = false;
  let [wholeFrom, wholeTo] = [-Infinity, -Infinity];
  const loadWhole = async (from: number, to: number) => {
    isWholeBusy = true;
    try {
      whole.value = await askChart({ from, to }, ["used_bytes"], POINTS);
    } catch {
      whole.value = null;
    }
    isWholeBusy = false;
  };
  const stopEdge = effect(() => {
    const newest = now.value;
    edge.value = isInUse() ? null : (edge.peek() ?? newest);
  });
  const stop = effect(() => {
    if (noRecording.value !== null || recordedSince.value === null) return;
    const { from, to, isFixed } = wanted.value;
    const moved = isFixed ? from !== last.from || to !== last.to : Math.abs(to - last.to) >= everySeconds(to - from) || Math.abs(to - from - (last.to - last.from)) > Math.max(1, (to - from) * GROWN_SHARE);
    if (isBusy.value || !moved) return;
    last = { from, to };
    void load(from, to);
  });
  const stopWhole = effect(() => {
    const [from, to] = [recordedSince.value, now.value];
    if (from === null || isWholeBusy || from > to - SHORTEST_SECONDS) return;
    const wait = Math.min(WHOLE_EVERY_SECONDS, Math.max(everySeconds(0), (to - from) * GROWN_SHARE));
    if (from !== wholeFrom || Math.abs(to - wholeTo) >= wait) void loadWhole((wholeFrom = from), (wholeTo = to));
  });
  return () => {
    isWanted = false;
    stop();
    stopWhole();
    stopEdge();
    edge.value = null;
    pointed.value = null;
  };
}
