/** The blocks of one GPU at the time looked at: fetched while a view shows them, never faster than twice a second. */

import { effect, signal } from "@preact/signals";
import type { Snapshot } from "./answers";
import { askSnapshot } from "./api";
import { live, route } from "./store";

const PAUSE_MS = 500;

export interface Blocks {
  gpu: string | null;
  /** The time asked for; null is now. */
  time: number | null;
  snapshot: Snapshot | null;
  error: string | null;
}

export const blocks = signal<Blocks>({ gpu: null, time: null, snapshot: null, error: null });

/** Follows the page's time for a GPU (null: all of them); returns the way to stop. The browser keeps the answer by its
 * ETag, so one that has not changed is not sent again. */
export function followBlocks(gpu: string | null): () => void {
  let isBusy = false;
  let isWanted = true;
  let controller = new AbortController();

  const load = async (time: number | null) => {
    controller.abort();
    controller = new AbortController();
    const { signal: aborted } = controller;
    isBusy = true;
    try {
      const snapshot = await askSnapshot(time, "full", gpu, aborted);
      if (isWanted) blocks.value = { gpu, time, snapshot, error: null };
    } catch (error) {
      if (isWanted && !aborted.aborted) blocks.value = { gpu, time, snapshot: null, error: error instanceof Error ? error.message : String(error) };
    }
    if (time === null) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    isBusy = false;
  };

  const stop = effect(() => {
    const time = route.value.time;
    if (time !== null) void load(time);
    else if (live.value !== null && !isBusy) void load(null);
  });
  return () => {
    isWanted = false;
    stop();
    controller.abort();
  };
}
