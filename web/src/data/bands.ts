/** Recorded series of one GPU as bands that stand on one another and add up to what is used. Pure. */

import type { History, Series } from "./answers";
import { processKey, processLabel } from "./ledger";
import { type Purpose, PURPOSE_OF, ROW_COLOURS } from "./purpose";

export interface Band {
  key: string;
  name: string;
  purpose: Purpose;
  /** One for each time; null where nothing was recorded. */
  values: (number | null)[];
}

export interface Chart {
  /** Unix seconds. */
  times: number[];
  /** The steadiest at the bottom. */
  bands: Band[];
  used: (number | null)[];
}

export interface Recorded {
  used: History;
  reserved: History;
  allocated: History;
}

/** Mean values by time. */
function valuesOf(series: Series): Map<number, number> {
  const values = new Map<number, number>();
  for (const [start, , mean] of series.points) if (mean !== null) values.set(start, mean);
  return values;
}

function seriesOf(history: History, gpuUuid: string): Series[] {
  return history.series.filter((series) => series.gpu_uuid === gpuUuid);
}

interface Recording {
  times: number[];
  used: (number | null)[];
  step: number;
}

/** The GPU's own series, with nothing in gaps: a pause of more than two steps is one, and stays one. */
function gpuCourse(history: History, gpuUuid: string): Recording {
  const own = seriesOf(history, gpuUuid).find((series) => series.pid === null);
  const times: number[] = [];
  const used: (number | null)[] = [];
  const step = Math.max(history.step_seconds, 1);
  for (const [start, , mean] of own?.points ?? []) {
    const before = times.at(-1);
    if (before !== undefined && start - before > 2.5 * step) {
      times.push(before + step);
      used.push(null);
    }
    times.push(start);
    used.push(mean);
  }
  return { times, used, step };
}

function band(key: string, name: string, purpose: Purpose, values: (number | null)[]): Band {
  return { key, name, purpose, values };
}

function isThere(one: Band): boolean {
  return one.values.some((value) => value !== null && value > 0);
}

/** Bands by process, the oldest at the bottom, what is nobody's on top. */
export function bandsByProcess(recorded: Recorded, gpuUuid: string): Chart {
  const { times, used } = gpuCourse(recorded.used, gpuUuid);
  const processes = seriesOf(recorded.used, gpuUuid)
    .filter((series) => series.pid !== null)
    .toSorted((a, b) => (a.start_time ?? 0) - (b.start_time ?? 0));
  const bands = processes.map((series, index) => {
    const values = valuesOf(series);
    const purpose = index < ROW_COLOURS.length ? ROW_COLOURS[index]! : PURPOSE_OF.get("cached")!;
    return band(processKey(series), processLabel(series), { ...purpose, letter: "" }, times.map((time) => values.get(time) ?? 0));
  });
  return withRest(times, used, bands);
}

/** Bands by use: live, outside allocators, held without use, not measured; what is nobody's on top. */
export function bandsByUse(recorded: Recorded, gpuUuid: string): Chart {
  const { times, used } = gpuCourse(recorded.used, gpuUuid);
  const allocated = new Map(seriesOf(recorded.allocated, gpuUuid).map((series) => [processKey(series), valuesOf(series)]));
  const reserved = new Map(seriesOf(recorded.reserved, gpuUuid).map((series) => [processKey(series), valuesOf(series)]));
  const sums = { live: zeros(times), outside: zeros(times), cached: zeros(times), opaque: zeros(times) };
  for (const series of seriesOf(recorded.used, gpuUuid)) {
    if (series.pid === null) continue;
    const [total, inUse, held] = [valuesOf(series), allocated.get(processKey(series)), reserved.get(processKey(series))];
    times.forEach((time, index) => {
      const bytes = total.get(time);
      if (bytes === undefined) return;
      const live = inUse?.get(time);
      if (live === undefined) {
        sums.opaque[index]! += bytes;
        return;
      }
      const pool = Math.min(bytes, Math.max(live, held?.get(time) ?? live));
      sums.live[index]! += Math.min(live, pool);
      sums.cached[index]! += Math.max(0, pool - live);
      sums.outside[index]! += bytes - pool;
    });
  }
  const bands = [
    band("live", "in use", { ...ROW_COLOURS[0]!, letter: "" }, sums.live),
    band("outside", "outside the allocator", PURPOSE_OF.get("outside")!, sums.outside),
    band("cached", "free in cache", PURPOSE_OF.get("cached")!, sums.cached),
    band("opaque", "not measured", PURPOSE_OF.get("opaque")!, sums.opaque),
  ];
  return withRest(times, used, bands);
}

function zeros(times: readonly number[]): number[] {
  return times.map(() => 0);
}

/** Adds what no process explains, and empties the bands where the GPU itself was not recorded. */
function withRest(times: number[], used: (number | null)[], bands: Band[]): Chart {
  const rest = used.map((value, index) => {
    const known = bands.reduce((sum, one) => sum + (one.values[index] ?? 0), 0);
    return value === null ? null : Math.max(0, value - known);
  });
  for (const one of bands) one.values = one.values.map((value, index) => (used[index] === null ? null : value));
  const all = [...bands, band("unattributed", "unattributed", PURPOSE_OF.get("unattributed")!, rest)];
  return { times, bands: all.filter(isThere), used };
}

/** Running sums from the bottom: the upper edge of each band. */
export function stacked(bands: readonly Band[]): (number | null)[][] {
  const edges: (number | null)[][] = [];
  for (const one of bands) {
    const below = edges.at(-1);
    edges.push(one.values.map((value, index) => (value === null ? null : value + (below?.[index] ?? 0))));
  }
  return edges;
}

/** Index of the newest time that is not after `time`; null before the first. */
export function indexAt(times: readonly number[], time: number): number | null {
  const index = times.findLastIndex((one) => one <= time);
  return index === -1 ? null : index;
}
