import { expect, test } from "vitest";
import type { Chart, ChartSeries } from "../src/data/answers";
import { bandsByProcess, bandsByPurpose, type BandStack, indexAt, METRICS, roomFor, stacked } from "../src/data/bands";
import { GAP_SECONDS } from "../src/data/series";

function series(metric: string, pid: number | null, mean: readonly (number | null)[]): ChartSeries {
  return { gpu: 0, pid, gpu_uuid: "GPU-a", name: pid === null ? "H100" : "python", start_time: pid, metric, mean };
}

function chart(...rows: ChartSeries[]): Chart {
  return { from: 0, to: 3, start: 0, step_seconds: 1, steps: 3, series: rows, marks: [], recorded_from: 0 };
}

const recorded = chart(
  series("used_bytes", null, [100, 110, 120]),
  series("used_bytes", 1, [40, 40, 40]),
  series("used_bytes", 2, [50, 60, 70]),
  series("activation_bytes", 2, [30, 31, 32]),
  series("cached_bytes", 2, [15, 24, 33]),
);

function sums({ times, bands }: BandStack): number[] {
  return times.map((_, step) => bands.reduce((sum, band) => sum + (band.values[step] ?? 0), 0));
}

test("bands add up to what is used, by process and by purpose", () => {
  expect(sums(bandsByProcess(recorded, "GPU-a"))).toEqual([100, 110, 120]);
  expect(sums(bandsByPurpose(recorded, "GPU-a"))).toEqual([100, 110, 120]);
});

test("a process that tells no purpose is not measured, and is not called in use", () => {
  const bands = new Map(bandsByPurpose(recorded, "GPU-a").bands.map((band) => [band.key, band.values]));
  expect(Object.fromEntries(bands)).toEqual({
    activation: [30, 31, 32],
    outside: [5, 5, 5],
    cached: [15, 24, 33],
    opaque: [40, 40, 40],
    unattributed: [10, 10, 10],
  });
});

test("a gap in the recording stays a gap", () => {
  const gappy = { ...chart(series("used_bytes", null, [1, null, 1]), series("used_bytes", 1, [1, null, 1])), step_seconds: GAP_SECONDS + 1 };
  for (const bands of [bandsByProcess(gappy, "GPU-a"), bandsByPurpose(gappy, "GPU-a")]) {
    expect(bands.used).toEqual([1, null, 1]);
    expect(bands.bands.every((band) => band.values[1] === null)).toBe(true);
  }
});

test("a sample that came late is none: what was read before it holds, as on the strip", () => {
  const late = chart(series("used_bytes", null, [5, null, 7]), series("used_bytes", 1, [2, null, 3]));
  for (const bands of [bandsByProcess(late, "GPU-a"), bandsByPurpose(late, "GPU-a")]) {
    expect(bands.used).toEqual([5, 5, 7]);
    expect(sums(bands)).toEqual([5, 5, 7]);
  }
  const ended = chart(series("used_bytes", null, [null, 5, null]), series("used_bytes", 1, [null, 2, null]));
  expect(bandsByProcess(ended, "GPU-a").used).toEqual([null, 5, null]);
});

test("a name stands in a band where it is highest, and only if it has room as far as it reaches", () => {
  const at = [0, 10, 20, 30, 40];
  const room = (heights: readonly number[], half: number) => roomFor(at, (step) => 50 - heights[step]!, () => 50, half, 12, { left: 0, width: 40 });
  expect(room([20, 20, 30, 20, 20], 12)!.y).toBe(40);
  expect(room([20, 5, 30, 20, 20], 12)!.x).toBeGreaterThanOrEqual(22);
  expect(room([30, 5, 30, 5, 30], 12)).toBeNull();
  expect(room([30, 30, 30, 30, 30], 30)).toBeNull();
});

test("each band stands on those below", () => {
  expect(stacked(bandsByProcess(recorded, "GPU-a").bands)).toEqual([
    [40, 40, 40],
    [90, 100, 110],
    [100, 110, 120],
  ]);
});

test("a GPU that was not recorded has no bands", () => {
  expect(bandsByPurpose(recorded, "GPU-b").bands).toEqual([]);
});

test("the metrics asked for are those that are recorded of a process", () => {
  expect(METRICS).toContain("kv_used_bytes");
  expect(METRICS).not.toContain("opaque_bytes");
  expect(new Set(METRICS).size).toBe(13);
});

test("the reading at a time is the newest before it", () => {
  expect([-1, 0, 1.5, 9].map((time) => indexAt([0, 1, 2], time))).toEqual([null, 0, 1, 2]);
});

test("what allocators hold and what is allocated are lines, and say whose they are", () => {
  const told = chart(series("used_bytes", null, [100, null, 120]), series("used_bytes", 1, [40, 40, 40]), series("reserved_bytes", 1, [40, 40, 40]), series("reserved_bytes", 2, [50, 55, null]), series("used_bytes", 2, [50, 60, 70]), series("allocated_bytes", 2, [30, 31, null]));
  expect(bandsByPurpose(told, "GPU-a").lines).toEqual([
    { key: "reserved", name: "reserved by 1 of 2 processes", values: [50, 50, null] },
    { key: "allocated", name: "allocated by 1 of 2 processes", values: [30, 30, null] },
  ]);
  expect(bandsByProcess(recorded, "GPU-a").lines).toEqual([]);
  expect(sums(bandsByPurpose(told, "GPU-a"))).toEqual([100, 100, 120]);
});

test("where one process follows another within a step they never add up to more than was used", () => {
  const both = chart(series("used_bytes", null, [100, 60, 100]), series("used_bytes", 1, [90, 90, null]), series("used_bytes", 2, [null, 30, 95]), series("activation_bytes", 1, [80, 80, null]));
  for (const bands of [bandsByProcess(both, "GPU-a"), bandsByPurpose(both, "GPU-a")]) expect(sums(bands).map(Math.round)).toEqual([100, 60, 100]);
});

test("a name stands on its band alone, and nowhere where that is too narrow", () => {
  const box = { left: 0, width: 400 };
  const place = (at: number[]) => roomFor(at, () => 0, () => 100, 40, 10, box);
  expect(place([300, 320, 340])).toBeNull();
  const { x } = place(Array.from({ length: 21 }, (_, step) => 100 + step * 10))!;
  expect(x - 40).toBeGreaterThanOrEqual(100);
  expect(x + 40).toBeLessThanOrEqual(300);
  expect(place([])).toBeNull();
});

test("of many processes the eight that held most have bands of their own", () => {
  const rows = Array.from({ length: 20 }, (_, index) => series("used_bytes", index + 1, [index + 1, index + 1, index + 1]));
  const { bands } = bandsByProcess(chart(series("used_bytes", null, [210, 210, 210]), ...rows), "GPU-a");
  expect(bands).toHaveLength(9);
  expect(bands[8]).toMatchObject({ name: "12 other processes", values: [78, 78, 78] });
});
