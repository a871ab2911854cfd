/** What each stack held over time. The recording keeps stacks with its readings and not as series, so some readings of the
 * range are asked for, one by one, and kept. */

import { computed, effect, signal } from "@preact/signals";
import type { Snapshot } from "./answers";
import { askStacksAt, Refusal } from "./api";
import type { Band, BandStack } from "./bands";
import { processLabel } from "./ledger";
import { PURPOSE_OF, ROW_COLOURS } from "./purpose";

/** Readings over one range: enough to see where a rise begins, few enough to ask for. */
export const READINGS = 24;
/** A day's worth of looking around. */
const KEPT_MAX = 400;
const STEPS = [2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400] as const;

export interface StackReading {
  /** Bytes that the GPU has in use; null where nothing was recorded. */
  used: number | null;
  /** Name and bytes of every stack, by its process and frames. */
  stacks: ReadonlyMap<string, { name: string; bytes: number }>;
}

const NOTHING_READ: StackReading = { used: null, stacks: new Map() };

/** Times at which a range is read: multiples of a step, so that the next range finds most of them read. */
export function readingTimes(from: number, to: number): number[] {
  const step = STEPS.find((one) => (to - from) / one <= READINGS) ?? Math.ceil((to - from) / READINGS);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, index) => first + index * step);
}

export function readingOf(snapshot: Snapshot, gpuUuid: string): StackReading {
  const gpu = snapshot.gpus.find((one) => one.uuid === gpuUuid);
  const names = new Map(snapshot.processes.filter((process) => process.gpu_uuid === gpuUuid).map((process) => [process.pid, processLabel(process)]));
  const stacks = new Map<string, { name: string; bytes: number }>();
  for (const stack of snapshot.stacks ?? []) {
    const name = names.get(stack.pid);
    if (name === undefined || stack.frames.length === 0) continue;
    const key = `${name}\n${stack.frames.join("\n")}`;
    stacks.set(key, { name: `${stack.frames[0]!}, ${name}`, bytes: (stacks.get(key)?.bytes ?? 0) + stack.allocated_bytes });
  }
  return { used: gpu?.used_bytes ?? null, stacks };
}

/** Bands of the eight stacks that held most at any time; the others, and what has no stack, stand above them. */
export function bandsByStack(times: readonly number[], readings: readonly StackReading[]): BandStack {
  const peaks = new Map<string, { name: string; bytes: number }>();
  for (const reading of readings) {
    for (const [key, { name, bytes }] of reading.stacks) peaks.set(key, { name, bytes: Math.max(bytes, peaks.get(key)?.bytes ?? 0) });
  }
  const largest = [...peaks].toSorted((a, b) => b[1].bytes - a[1].bytes).slice(0, ROW_COLOURS.length);
  const shown = new Set(largest.map(([key]) => key));
  const of = (key: string) => readings.map(({ used, stacks }) => (used === null ? null : (stacks.get(key)?.bytes ?? 0)));
  const others = readings.map(({ used, stacks }) => (used === null ? null : sum([...stacks].filter(([key]) => !shown.has(key)).map(([, { bytes }]) => bytes))));
  const none = readings.map(({ used, stacks }) => (used === null ? null : Math.max(0, used - sum([...stacks.values()].map(({ bytes }) => bytes)))));
  const bands: Band[] = [
    ...largest.map(([key, { name }], index): Band => ({ key, name, purpose: { ...ROW_COLOURS[index]!, letter: String(index + 1) }, values: of(key) })),
    { key: "others", name: "other stacks", purpose: { ...PURPOSE_OF.get("unattributed")!, name: "other stacks" }, values: others },
    { key: "none", name: "free in caches, or no stack told", purpose: PURPOSE_OF.get("cached")!, values: none },
  ];
  return { times: [...times], bands: bands.filter((band) => band.values.some((value) => value !== null && value > 0)), used: readings.map((reading) => reading.used), lines: [] };
}

function sum(values: readonly number[]): number {
  return values.reduce((all, one) => all + one, 0);
}

const kept = new Map<string, StackReading>();
const keptVersion = signal(0);
const wanted = signal<{ gpu: string; times: readonly number[] } | null>(null);

/** The readings at hand of what is wanted. */
export const stackBands = computed<BandStack | null>(() => {
  void keptVersion.value;
  const want = wanted.value;
  if (want === null) return null;
  const times = want.times.filter((time) => kept.has(`${want.gpu}/${time}`));
  return bandsByStack(times, times.map((time) => kept.get(`${want.gpu}/${time}`)!));
});

/** How many of the readings wanted have not come yet. */
export const readingsMissing = computed(() => {
  void keptVersion.value;
  return wanted.value?.times.filter((time) => !kept.has(`${wanted.value!.gpu}/${time}`)).length ?? 0;
});

/** Follows a range of a GPU; returns the way to stop. */
export function followStacks(rangeOf: () => { gpu: string; from: number; to: number } | null): () => void {
  const controller = new AbortController();
  let isBusy = false;

  const read = async (gpu: string, time: number): Promise<StackReading> => {
    try {
      return readingOf(await askStacksAt(time, gpu, controller.signal), gpu);
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return NOTHING_READ; // nothing was recorded then
      throw error;
    }
  };
  const work = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      for (let time = nextWanted(); time !== null && !controller.signal.aborted; time = nextWanted()) {
        const { gpu } = wanted.peek()!;
        kept.set(`${gpu}/${time}`, await read(gpu, time));
        if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value!);
        keptVersion.value++;
      }
    } catch {
      // asked for again with the next range; the bands show what has come
    }
    isBusy = false;
  };
  const stop = effect(() => {
    const range = rangeOf();
    if (range === null) return;
    const times = readingTimes(range.from, range.to);
    const known = wanted.peek();
    if (known?.gpu !== range.gpu || known.times.join() !== times.join()) wanted.value = { gpu: range.gpu, times };
    void work();
  });
  return () => {
    stop();
    controller.abort();
  };
}

/** The newest reading that is missing: what happens now is seen first. */
function nextWanted(): number | null {
  const want = wanted.peek();
  return want?.times.findLast((time) => !kept.has(`${want.gpu}/${time}`)) ?? null;
}
