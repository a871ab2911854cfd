/** What a GPU's memory grew by since a time, asked for once and again every so often while a view shows it. */

import { signal } from "@preact/signals";
import type { Comparison } from "./answers";
import { askComparison } from "./api";
import { whyNotRecorded } from "./store";

const AGAIN_MS = 15_000;

export const changeSince = signal<Comparison | null>(null);

/** Begins to ask; returns the way to stop. */
export function grewSince(gpu: string, since: number | null): (() => void) | undefined {
  if (since === null) {
    changeSince.value = null;
    return undefined;
  }
  let isWanted = true;
  const fetchOnce = async () =>
    whyNotRecorded(since) === null &&
    askComparison(since, null, gpu)
      .then((comparison) => {
        if (isWanted) changeSince.value = comparison;
      })
      .catch(() => undefined); // the verdict stands without it, marked n/a
  void fetchOnce();
  const timer = setInterval(() => void fetchOnce(), AGAIN_MS);
  return () => {
    isWanted = false;
    clearInterval(timer);
  };
}
