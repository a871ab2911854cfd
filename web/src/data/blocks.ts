/** The blocks of one GPU at the time looked at: fetched while a view shows them, never faster than twice a second. */

import { effect, signal } from "@preact/signals";
import { askColumns, type ColumnsAnswer } from "./api";
import { decode, type Table } from "./columns";
import { layOutAhead } from "./laid_out";
import { eventOf, live, route } from "./store";

const PAUSE_MS = 500;

export interface FoundBlocks {
  gpu: string | null;
  /** The time asked for; null is now. */
  time: number | null;
  table: Table | null;
  error: string | null;
}

export const blocks = signal<FoundBlocks>({ gpu: null, time: null, table: null, error: null });

/** Parts with more blocks are unpacked in tasks of their own. */
const LARGE_ROWS = 5000;
const UNPACKED = ["address", "segment"] as const;

/** Unpacks what every map needs, column by column, so that no task is long. */
async function unpack(table: Table, gpu: string | null): Promise<void> {
  for (const part of table.parts) {
    if (part.rows < LARGE_ROWS || part.head.gpu_uuid !== gpu) continue;
    for (const name of UNPACKED) {
      part.numbers(name);
      await pause();
    }
  }
}

/** Lets everything else have its turn. */
function pause(): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Follows the page's time for a GPU (null: all of them); returns the way to stop. While the page is live only what has
 * changed since the answer before is sent, and nothing where there is no newer sample. */
export function followBlocks(gpu: string | null): () => void {
  let isBusy = false;
  let isWanted = true;
  let controller = new AbortController();
  /** The newest answer about now. */
  let newest: { table: Table; etag: string | null } | null = null;

  const take = (answer: ColumnsAnswer | null, before: Table | null) => (answer === null ? before! : decode(answer.body, before));
  const load = async (time: number | null) => {
    controller.abort();
    controller = new AbortController();
    const { signal: aborted } = controller;
    isBusy = true;
    try {
      const before = time === null ? newest : null;
      const answer = await askColumns({ gpu, time, event: time === null ? null : eventOf(route.peek()), since: before?.table.version ?? null, etag: before?.etag ?? null }, aborted);
      const table = take(answer, before?.table ?? null);
      await unpack(table, gpu);
      if (gpu !== null && table.parts.some((part) => part.rows >= LARGE_ROWS)) await layOutAhead(table.parts, gpu, route.peek().pid, pause);
      if (time === null && answer !== null) newest = { table, etag: answer.etag };
      const known = blocks.peek();
      if (isWanted && (known.table !== table || known.time !== time || known.gpu !== gpu)) blocks.value = { gpu, time, table, error: null };
    } catch (error) {
      newest = null;
      if (isWanted && !aborted.aborted) blocks.value = { gpu, time, table: null, error: error instanceof Error ? error.message : String(error) };
    }
    if (time === null) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    isBusy = false;
  };

  const stop = effect(() => {
    const { time } = route.value;
    if (time !== null) void load(time);
    else if (live.value !== null && !isBusy) void load(null);
  });
  return () => {
    isWanted = false;
    stop();
    controller.abort();
  };
}
