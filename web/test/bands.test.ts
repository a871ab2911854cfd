import { expect, test } from "vitest";
import type { History, Point, Series } from "../src/data/answers";
import { bandsByProcess, bandsByUse, indexAt, type Recorded, stacked } from "../src/data/bands";

function series(metric: string, pid: number | null, values: readonly (number | null)[], start = 0): Series {
  const points = values.map((value, index): Point => [start + index, value, value, value]);
  return { gpu: 0, pid, gpu_uuid: "GPU-a", name: pid === null ? "H100" : "python", start_time: pid, metric, points };
}

function history(rows: Series[]): History {
  return { from: 0, to: 10, step_seconds: 1, series: rows, series_omitted: 0 };
}

const recorded: Recorded = {
  used: history([series("used", null, [100, 110, 120]), series("used", 1, [40, 40, 40]), series("used", 2, [50, 60, 70])]),
  reserved: history([series("reserved", 1, [40, 40, 40]), series("reserved", 2, [45, 55, 65])]),
  allocated: history([series("allocated", 2, [30, 31, 32])]),
};

function sums(chart: ReturnType<typeof bandsByUse>): number[] {
  return chart.times.map((_, index) => chart.bands.reduce((sum, one) => sum + (one.values[index] ?? 0), 0));
}

test("bands add up to what is used, by process and by use", () => {
  expect(sums(bandsByProcess(recorded, "GPU-a"))).toEqual([100, 110, 120]);
  expect(sums(bandsByUse(recorded, "GPU-a"))).toEqual([100, 110, 120]);
});

test("a process without an allocator that tells is not measured, and is not called in use", () => {
  const bands = new Map(bandsByUse(recorded, "GPU-a").bands.map((one) => [one.key, one.values]));
  expect(bands.get("opaque")).toEqual([40, 40, 40]);
  expect(bands.get("live")).toEqual([30, 31, 32]);
  expect(bands.get("cached")).toEqual([15, 24, 33]);
  expect(bands.get("outside")).toEqual([5, 5, 5]);
});

test("a gap in the recording stays a gap", () => {
  const gappy: Recorded = { ...recorded, used: history([{ ...series("used", null, []), points: [[0, 1, 1, 1], [1, 1, 1, 1], [60, 1, 1, 1]] }]) };
  const chart = bandsByProcess(gappy, "GPU-a");
  expect(chart.times).toEqual([0, 1, 2, 60]);
  expect(chart.used).toEqual([1, 1, null, 1]);
  expect(chart.bands.every((one) => one.values[2] === null)).toBe(true);
});

test("each band stands on those below", () => {
  expect(stacked(bandsByProcess(recorded, "GPU-a").bands)).toEqual([
    [40, 40, 40],
    [90, 100, 110],
    [100, 110, 120],
  ]);
});

test("the reading at a time is the newest before it", () => {
  expect([-1, 0, 1.5, 9].map((time) => indexAt([0, 1, 2], time))).toEqual([null, 0, 1, 2]);
});
