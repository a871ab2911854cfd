/** Values over the last minutes, kept for sparks, strip and rates: seeded from the recording, then fed by the stream. */

import type { Chart, Snapshot } from "./answers";
import { timeOf } from "./answers";
import { processKey } from "./ledger";

export const KEPT_SECONDS = 330;
/** Five minutes of two samples a second, and some room. */
export const KEPT_POINTS_MAX = 1500;
/** A longer silence is a gap, and stays one. */
export const GAP_SECONDS = 8;

export interface Track {
  readonly times: number[];
  readonly values: number[];
}

const EMPTY: Track = { times: [], values: [] };

export class Tracks {
  readonly #tracks = new Map<string, Track>();

  get(key: string): Track {
    return this.#tracks.get(key) ?? EMPTY;
  }

  /** Replaces all by what was recorded; a step that began before the recording did tells of what came after. */
  seed(chart: Chart): void {
    this.#tracks.clear();
    const first = chart.recorded_from ?? chart.start;
    for (const series of chart.series) {
      if (series.gpu_uuid === null) continue;
      const track: Track = { times: [], values: [] };
      series.mean.forEach((value, step) => {
        if (value === null) return;
        track.times.push(Math.max(first, chart.start + step * chart.step_seconds));
        track.values.push(value);
      });
      this.#tracks.set(series.pid === null ? series.gpu_uuid : processKey(series), track);
    }
  }

  /** Adds a snapshot; what is older than is kept, and what has ended, is dropped. */
  add(snapshot: Snapshot): void {
    const time = timeOf(snapshot);
    for (const gpu of snapshot.gpus) this.#push(gpu.uuid, time, gpu.used_bytes);
    for (const process of snapshot.processes) this.#push(processKey(process), time, process.used_bytes);
    for (const [key, track] of this.#tracks) {
      const stale = track.times.findIndex((one) => one >= time - KEPT_SECONDS);
      const excess = Math.max(track.times.length - KEPT_POINTS_MAX, stale === -1 ? track.times.length : stale);
      if (excess >= track.times.length) this.#tracks.delete(key);
      else if (excess > 0) {
        track.times.splice(0, excess);
        track.values.splice(0, excess);
      }
    }
  }

  #push(key: string, time: number, value: number): void {
    const track = this.#tracks.get(key) ?? { times: [], values: [] };
    if (time <= (track.times.at(-1) ?? 0)) return;
    track.times.push(time);
    track.values.push(value);
    this.#tracks.set(key, track);
  }
}

/** The value at a time: of the newest point not after it; null before the first. */
export function valueAt(track: Track, time: number): number | null {
  let low = 0;
  let high = track.times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (track.times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? null : track.values[low - 1]!;
}

/** When a window of so many seconds begins: that long ago, or where what is known begins; null where nothing is. */
export function windowFrom(tracks: readonly Track[], now: number, seconds: number): number | null {
  const wanted = now - seconds;
  let first: number | null = null;
  for (const { times } of tracks) {
    const after = times.findIndex((time) => time > wanted && time <= now);
    const before = after === -1 ? times.at(-1) : times[after - 1];
    if (before !== undefined && before <= wanted && wanted - before <= GAP_SECONDS) return wanted;
    if (after !== -1) first = Math.min(first ?? Infinity, times[after]!);
  }
  return first;
}

/** A time over which a track stays at a value. */
export interface Level {
  from: number;
  to: number;
  value: number;
}

/** A track up to a time as steps, those that differ by less than `least` as one; a gap stays a gap. */
export function levels(track: Track, end: number, least: number): Level[] {
  const found: Level[] = [];
  track.times.forEach((from, at) => {
    const to = Math.min(track.times[at + 1] ?? end, from + GAP_SECONDS);
    const value = track.values[at]!;
    const last = found.at(-1);
    if (last !== undefined && last.to === from && Math.abs(value - last.value) < least) last.to = to;
    else found.push({ from, to, value });
  });
  return found;
}

export interface Course {
  kind: "flat" | "swings" | "moves";
  low: number;
  high: number;
}

/** Share of a GPU's memory within which it is called flat. */
const FLAT_SHARE = 0.01;
/** Seen for less than that, nothing has a course yet. */
const COURSE_SECONDS_MIN = 10;

/** A track without what came after a time. */
function upTo(track: Track, time: number): Track {
  const after = track.times.findIndex((one) => one > time);
  return after === -1 ? track : { times: track.times.slice(0, after), values: track.values.slice(0, after) };
}

/** How a track went up to a time, for where no trend is told: flat, swinging between two values, or on its way. */
export function courseOf(whole: Track, total: number, to = Infinity): Course | null {
  const track = upTo(whole, to);
  if (track.values.length < 2 || track.times.at(-1)! - track.times[0]! < COURSE_SECONDS_MIN) return null;
  const low = Math.min(...track.values);
  const high = Math.max(...track.values);
  if (high - low <= total * FLAT_SHARE) return { kind: "flat", low, high };
  const turns = reversals(track.values, (high - low) / 4);
  return { kind: turns >= 2 ? "swings" : "moves", low, high };
}

/** How often it turned back by more than `least`. */
function reversals(values: readonly number[], least: number): number {
  let extreme = values[0]!;
  let rising: boolean | null = null;
  let turns = 0;
  for (const value of values) {
    if (rising === null) {
      if (Math.abs(value - extreme) >= least) rising = value > extreme;
      if (rising !== null) extreme = value;
    } else if (rising ? value > extreme : value < extreme) extreme = value;
    else if (Math.abs(value - extreme) >= least) {
      rising = !rising;
      extreme = value;
      turns++;
    }
  }
  return turns;
}
