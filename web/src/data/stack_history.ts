/** What each stack held over time: at some moments of the range, which the recording keeps with their stacks. */

import { computed, effect, signal } from "@preact/signals";
import type { StackHistory } from "./answers";
import { askStacks } from "./api";
import { type BandStack, bandsByStack, indexAt } from "./bands";
import { recorded } from "./timeline";

/** Moments of one range: enough to see where a rise begins; each is read whole by the server. */
const MOMENTS = 40;
/** Share of a range after which it is asked for again. */
const AGAIN_SHARE = 1 / MOMENTS;
const AGAIN_SECONDS_MIN = 5;

const found = signal<{ gpu: string; history: StackHistory } | null>(null);
export const stacksError = signal<string | null>(null);

/** Of a GPU; null until they have come. */
export function stackBandsOf(gpuUuid: string): BandStack | null {
  return found.value?.gpu === gpuUuid ? stackBands.value : null;
}

const stackBands = computed<BandStack | null>(() => {
  if (found.value === null || recorded.value === null) return null;
  const { gpu, history } = found.value;
  const { start, step_seconds: step, steps, series } = recorded.value;
  const track = series.find((one) => one.gpu_uuid === gpu && one.pid === null && one.metric === "used_bytes")?.mean ?? [];
  const times = Array.from({ length: steps }, (_, index) => start + index * step);
  const used = history.times.map((time) => {
    const at = indexAt(times, time);
    return at === null ? null : (track[at] ?? track[at - 1] ?? null);
  });
  return bandsByStack(history, gpu, used);
});

/** Follows a range of a GPU; returns the way to stop. */
export function followStacks(rangeOf: () => { gpu: string; from: number; to: number } | null): () => void {
  let isWanted = true;
  const isBusy = signal(false); // what was wanted meanwhile is asked for when the answer has come
  let last = { gpu: "", from: 0, to: 0 };
  const load = async (gpu: string, from: number, to: number) => {
    isBusy.value = true;
    try {
      const history = await askStacks({ from, to }, gpu, MOMENTS);
      if (isWanted) found.value = { gpu, history };
      stacksError.value = null;
    } catch (error) {
      stacksError.value = error instanceof Error ? error.message : String(error);
    }
    isBusy.value = false;
  };
  const stop = effect(() => {
    const range = rangeOf();
    if (range === null || isBusy.value || range.from >= range.to) return;
    const { gpu, from, to } = range;
    const again = Math.max(AGAIN_SECONDS_MIN, (to - from) * AGAIN_SHARE);
    if (gpu === last.gpu && Math.abs(to - last.to) < again && Math.abs(from - last.from) < again) return;
    if (gpu !== last.gpu) found.value = null;
    last = range;
    void load(gpu, from, to);
  });
  return () => {
    isWanted = false;
    stop();
  };
}
