/** The recording of one GPU as bands that stand on one another and add up to what is used. Pure. */

import type { Chart, ChartSeries, StackHistory } from "./answers";
import { grouped } from "./grouped";
import { processKey, processLabel } from "./ledger";
import { GAP_SECONDS } from "./series";
import { type Purpose, PURPOSE_OF, PURPOSES, ROW_COLOURS } from "./purpose";

type Values = (number | null)[];

export interface Band {
  key: string;
  name: string;
  purpose: Purpose;
  /** One for each time; null where nothing was recorded. */
  values: Values;
}

export interface BandStack {
  /** Unix seconds. */
  times: number[];
  /** The steadiest at the bottom. */
  bands: Band[];
  used: Values;
  /** Sums over the processes, drawn as lines over the bands. */
  lines: Line[];
}

export interface Line {
  key: "reserved" | "allocated";
  name: string;
  values: Values;
}

/** Purposes that the recording keeps of each process, as metrics. */
const RECORDED = PURPOSES.filter((purpose) => purpose.texture === null || purpose.key === "kv_cached" || purpose.key === "cached");
const LINES = ["reserved", "allocated"] as const;
export const METRICS = ["used_bytes", ...LINES.map((key) => `${key}_bytes`), ...RECORDED.map((purpose) => `${purpose.key}_bytes`)];
export const NO_BANDS: BandStack = { times: [], bands: [], used: [], lines: [] };

interface Own {
  times: number[];
  used: Values;
  processes: Map<string, ChartSeries[]>;
}

function ownSeries(chart: Chart, gpuUuid: string): Own {
  const own = chart.series.filter((series) => series.gpu_uuid === gpuUuid);
  const track = own.find((series) => series.pid === null && series.metric === "used_bytes");
  const recorded = track === undefined ? new Array<null>(chart.steps).fill(null) : track.mean;
  const from = readings(recorded, Math.floor(GAP_SECONDS / chart.step_seconds));
  const held = (values: readonly (number | null)[]): Values => from.map((step) => (step === null ? null : (values[step] ?? null)));
  const used = held(recorded);
  const rows = own
    .filter((series) => series.pid !== null)
    .map((series) => ({ ...series, mean: held(series.mean) }))
    .toSorted((a, b) => (a.start_time ?? 0) - (b.start_time ?? 0));
  const shares = sharesOf(used, rows);
  return {
    times: Array.from({ length: chart.steps }, (_, step) => chart.start + step * chart.step_seconds),
    used,
    processes: grouped(
      rows.map((series) => ({ ...series, mean: series.mean.map((value, step) => (value === null ? null : value * shares[step]!)) })),
      processKey,
    ),
  };
}

/** Which step each one's reading is that of: its own, or the one before a silence of a few steps that is no gap yet; null in a gap. */
function readings(used: readonly (number | null)[], silentMax: number): (number | null)[] {
  const from = used.map((value, step) => (value === null ? null : step));
  let last: number | null = null;
  used.forEach((value, step) => {
    if (value === null) return;
    if (last !== null && step - last - 1 <= silentMax) from.fill(last, last + 1, step);
    last = step;
  });
  return from;
}

/** A mean is that of the time in which a process lived. Where one ends and the next begins within a step their means add up to more than
 * the GPU had in use; then all count for less, so that they add up to it. */
function sharesOf(used: Values, rows: readonly ChartSeries[]): number[] {
  const sums = used.map(() => 0);
  for (const series of rows) if (series.metric === "used_bytes") series.mean.forEach((value, step) => (sums[step]! += value ?? 0));
  return used.map((value, step) => (value === null || sums[step]! <= value ? 1 : value / sums[step]!));
}

function usedOf(rows: readonly ChartSeries[]): readonly (number | null)[] {
  return rows.find((series) => series.metric === "used_bytes")?.mean ?? [];
}

/** Bands of the eight processes that held most, the oldest at the bottom; the others in one, and what is nobody's on top. */
export function bandsByProcess(chart: Chart, gpuUuid: string): BandStack {
  const { times, used, processes } = ownSeries(chart, gpuUuid);
  const all = [...processes].map(([key, rows]) => ({ key, name: processLabel(rows[0]!), values: times.map((_, step) => usedOf(rows)[step] ?? 0) }));
  const largest = new Set(all.toSorted((a, b) => Math.max(...b.values) - Math.max(...a.values)).slice(0, ROW_COLOURS.length));
  const bands = all.filter((band) => largest.has(band)).map((band, index): Band => ({ ...band, purpose: { ...ROW_COLOURS[index]!, letter: String(index + 1) } }));
  const rest = all.filter((band) => !largest.has(band));
  const others: Band = {
    key: "others",
    name: `${rest.length} other processes`,
    purpose: { ...PURPOSE_OF.get("opaque")!, name: "other processes" },
    values: times.map((_, step) => rest.reduce((sum, band) => sum + band.values[step]!, 0)),
  };
  return withRest(times, used, rest.length === 0 ? bands : [...bands, others], processes);
}

/** Bands by purpose. What a process holds beside the purposes it tells lies outside its allocator; of one that tells none
 * nothing is measured but its bytes. */
export function bandsByPurpose(chart: Chart, gpuUuid: string): BandStack {
  const { times, used, processes } = ownSeries(chart, gpuUuid);
  const sums = new Map(PURPOSES.map((purpose) => [purpose.key as string, times.map(() => 0)]));
  for (const rows of processes.values()) {
    const told = rows.filter((series) => sums.has(series.metric.replace(/_bytes$/, "")));
    times.forEach((_, step) => {
      const bytes = usedOf(rows)[step];
      if (bytes === null || bytes === undefined) return;
      let known: number | null = null;
      for (const series of told) {
        const value = series.mean[step];
        if (value === null || value === undefined) continue;
        sums.get(series.metric.replace(/_bytes$/, ""))![step]! += value;
        known = (known ?? 0) + value;
      }
      sums.get(known === null ? "opaque" : "outside")![step]! += Math.max(0, bytes - (known ?? 0));
    });
  }
  const bands = PURPOSES.map((purpose): Band => ({ key: purpose.key, name: purpose.name, purpose, values: sums.get(purpose.key)! }));
  return withRest(times, used, bands.filter((band) => band.key !== "unattributed"), processes);
}

/** Bands of the eight stacks that held most at any time; the others, and what has no stack, stand above them. `used` is what the
 * GPU had in use at each of the times. */
export function bandsByStack(history: StackHistory, gpuUuid: string, used: Values): BandStack {
  const own = history.series
    .filter((series) => series.gpu_uuid === gpuUuid && series.frames.length > 0)
    .map((series, place) => ({ key: `${place}`, name: `${series.frames[0]!}, ${processLabel(series)}`, bytes: series.bytes, peak: Math.max(0, ...series.bytes.map((one) => one ?? 0)) }))
    .toSorted((a, b) => b.peak - a.peak);
  const sums = (rows: typeof own) => used.map((_, at) => rows.reduce((sum, row) => sum + (row.bytes[at] ?? 0), 0));
  const ifRecorded = (values: readonly (number | null)[]): Values => used.map((value, at) => (value === null ? null : (values[at] ?? 0)));
  const [largest, rest] = [own.slice(0, ROW_COLOURS.length), own.slice(ROW_COLOURS.length)];
  const told = sums(own);
  const bands: Band[] = [
    ...largest.map(({ key, name, bytes }, index): Band => ({ key, name, purpose: { ...ROW_COLOURS[index]!, letter: String(index + 1) }, values: ifRecorded(bytes) })),
    { key: "others", name: "other stacks", purpose: { ...PURPOSE_OF.get("unattributed")!, name: "other stacks" }, values: ifRecorded(sums(rest)) },
    { key: "none", name: "free in caches, or no stack told", purpose: PURPOSE_OF.get("cached")!, values: used.map((value, at) => (value === null ? null : Math.max(0, value - told[at]!))) },
  ];
  return { times: [...history.times], bands: bands.filter((band) => band.values.some((value) => value !== null && value > 0)), used, lines: [] };
}

/** Adds what no process explains, and empties the bands where the GPU itself was not recorded. */
function withRest(times: number[], used: Values, bands: readonly Band[], processes: Own["processes"]): BandStack {
  const emptied = bands.map((band) => ({ ...band, values: band.values.map((value, step) => (used[step] === null ? null : value)) }));
  const values = used.map((value, step) => (value === null ? null : Math.max(0, value - emptied.reduce((sum, band) => sum + (band.values[step] ?? 0), 0))));
  const rest = { key: "unattributed", name: "unattributed", purpose: PURPOSE_OF.get("unattributed")!, values };
  return { times, bands: [...emptied, rest].filter((band) => band.values.some((value) => value !== null && value > 0)), used, lines: linesOf(times, used, processes) };
}

/** What allocators hold, and what of it is allocated: sums over the processes whose allocator tells it, who may not be all. */
function linesOf(times: number[], used: Values, processes: Own["processes"]): Line[] {
  const telling = [...processes.values()].filter((rows) => rows.some((series) => series.metric === "allocated_bytes" && series.mean.some((value) => value !== null)));
  if (telling.length === 0) return [];
  const all = telling.length === processes.size ? "" : ` by ${telling.length} of ${processes.size} processes`;
  return LINES.map((key) => {
    const series = telling.map((rows) => rows.find((one) => one.metric === `${key}_bytes`)?.mean ?? []);
    const values = times.map((_, step) => (used[step] === null || series.every((one) => one[step] == null) ? null : series.reduce((sum, one) => sum + (one[step] ?? 0), 0)));
    return { key, name: `${key}${all}`, values };
  });
}

/** Running sums from the bottom: the upper edge of each band. */
export function stacked(bands: readonly Band[]): Values[] {
  const edges: Values[] = [];
  for (const band of bands) {
    const below = edges.at(-1);
    edges.push(band.values.map((value, step) => (value === null ? null : value + (below?.[step] ?? 0))));
  }
  return edges;
}

/** Index of the newest step in which anything was recorded; null where nothing was. */
export function newestOf(used: Values): number | null {
  const index = used.findLastIndex((value) => value !== null);
  return index === -1 ? null : index;
}

/** Index of the newest time that is not after `time`; null before the first. */
export function indexAt(times: readonly number[], time: number): number | null {
  const index = times.findLastIndex((one) => one <= time);
  return index === -1 ? null : index;
}

/** Looked at along a band for a place of a name: no place is better by much than the next. */
const PLACES = 40;

/** Where a word of some width fits inside a band: where the band is highest as far as the word reaches; null where it is nowhere high enough. */
export function roomFor(
  at: readonly number[],
  top: (step: number) => number,
  bottom: (step: number) => number,
  half: number,
  height: number,
  { left, width }: { left: number; width: number },
): { x: number; y: number } | null {
  if (2 * half > width) return null;
  let found: { x: number; y: number } | null = null;
  let most = height;
  for (let place = 0; place <= PLACES; place++) {
    const x = left + half + (place / PLACES) * (width - 2 * half);
    if (!(at[0]! <= x - half && at.at(-1)! >= x + half)) continue; // beyond its ends there is no band
    const under = at.flatMap((one, step) => (Math.abs(one - x) <= half ? [step] : []));
    const [highest, lowest] = [Math.max(...under.map(top)), Math.min(...under.map(bottom))];
    if (under.length === 0 || lowest - highest < most) continue;
    found = { x, y: (highest + lowest) / 2 };
    most = lowest - highest;
  }
  return found;
}
