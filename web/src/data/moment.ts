/** What lived at the time looked at, with stacks, and what had changed since a minute before. */

import { effect, signal } from "@preact/signals";
import type { Comparison, Snapshot } from "./answers";
import { timeOf } from "./answers";
import { askComparison, askSnapshot } from "./api";
import { whileVisible } from "./poll";
import { eventOf, now, recordedSince, route, whyNotRecorded } from "./store";

export const BEFORE_SECONDS = 60;
/** While the page is live: often enough to follow, rarely enough to read. */
const AGAIN_MS = 3000;

export interface Lived {
  snapshot: Snapshot | null;
  before: Comparison | null;
  error: string | null;
}

export const lived = signal<Lived>({ snapshot: null, before: null, error: null });

/** Begins to follow the page's time; returns the way to stop. */
export function followMoment(): () => void {
  let isWanted = true;
  let controller = new AbortController();
  const load = async (time: number | null) => {
    controller.abort();
    controller = new AbortController();
    const { signal: aborted } = controller;
    try {
      const snapshot = await askSnapshot(time, "stacks", eventOf(route.peek()), aborted);
      const at = timeOf(snapshot);
      // what lived is shown before what has changed is known; the changes of the answer before would be of another time
      if (isWanted && !aborted.aborted) lived.value = { snapshot, before: time === null ? lived.peek().before : null, error: null };
      const before = whyNotRecorded(at - BEFORE_SECONDS) !== null ? null : await askComparison(at - BEFORE_SECONDS, time === null ? null : at, null).catch(() => null);
      if (isWanted && !aborted.aborted) lived.value = { snapshot, before, error: null };
    } catch (error) {
      if (isWanted && !aborted.aborted) lived.value = { snapshot: null, before: null, error: error instanceof Error ? error.message : String(error) };
    }
  };
  const stop = effect(() => {
    void recordedSince.value; // only then is there something to compare with
    void load(route.value.time);
  });
  const stopAsking = whileVisible(() => route.peek().time === null && now.peek() > 0 && load(null), AGAIN_MS);
  return () => {
    isWanted = false;
    stop();
    controller.abort();
    stopAsking();
  };
}
