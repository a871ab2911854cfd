import { expect, test } from "vitest";
import { timeOf } from "../src/data/answers";
import { courseOf, KEPT_SECONDS, levels, Tracks, valueAt, windowFrom } from "../src/data/series";
import { GIB, snapshot } from "./snapshots";

function at(seconds: number) {
  return snapshot({ timestamp: new Date(seconds * 1000).toISOString() });
}

test("a track takes the recording first, then the stream, and nothing twice", () => {
  const tracks = new Tracks();
  const start = timeOf(snapshot());
  tracks.seed({
    from: 0,
    to: 0,
    start: start - 1,
    step_seconds: 1,
    steps: 2,
    recorded_from: null,
    marks: [],
    series: [{ gpu: 0, pid: null, gpu_uuid: "GPU-a", name: null, start_time: null, metric: "used_bytes", mean: [2, null] }],
  });
  tracks.add(at(start));
  tracks.add(at(start));
  expect(tracks.get("GPU-a").values).toEqual([2, 10 * GIB]);
});

test("a step that began before the recording did tells nothing of before", () => {
  const tracks = new Tracks();
  tracks.seed({
    from: 0,
    to: 104,
    start: 100,
    step_seconds: 2,
    steps: 2,
    recorded_from: 101.5,
    marks: [],
    series: [{ gpu: 0, pid: null, gpu_uuid: "GPU-a", name: null, start_time: null, metric: "used_bytes", mean: [2, 3] }],
  });
  expect(tracks.get("GPU-a").times).toEqual([101.5, 102]);
});

test("what is older than is kept is dropped, with those that ended", () => {
  const tracks = new Tracks();
  tracks.add(at(1000));
  const { processes: _, ...rest } = at(1000 + KEPT_SECONDS + 1);
  tracks.add({ ...rest, processes: [] });
  expect(tracks.get("GPU-a").times).toHaveLength(1);
  expect(tracks.get("GPU-a/1/1000").times).toHaveLength(0);
});

test("the value at a time is the newest not after it", () => {
  const track = { times: [10, 20, 30], values: [1, 2, 3] };
  expect([9, 10, 19, 20, 99].map((time) => valueAt(track, time))).toEqual([null, 1, 1, 2, 3]);
});

test("a course is flat, swings, or moves", () => {
  const times = Array.from({ length: 60 }, (_, index) => index);
  const course = (values: number[]) => courseOf({ times, values }, 100)?.kind;
  expect(course(times.map(() => 50))).toBe("flat");
  expect(course(times.map((time) => 30 + 20 * Math.sin(time / 3)))).toBe("swings");
  expect(course(times.map((time) => time))).toBe("moves");
  expect(courseOf({ times: [], values: [] }, 100)).toBeNull();
});

test("a steady track is one level, a change begins another, and a gap stays a gap", () => {
  const track = { times: [0, 1, 2, 3, 30], values: [50, 50.5, 49.6, 80, 80] };
  expect(levels(track, 31, 1)).toEqual([
    { from: 0, to: 3, value: 50 },
    { from: 3, to: 11, value: 80 },
    { from: 30, to: 31, value: 80 },
  ]);
});

test("nothing has a course in its first seconds", () => {
  expect(courseOf({ times: [0, 1, 2, 3], values: [50, 50, 50, 50] }, 100)).toBeNull();
});

test("a window begins where what is known begins, and never before", () => {
  const every = (from: number, to: number) => {
    const times = Array.from({ length: to - from + 1 }, (_, index) => from + index);
    return { times, values: times.map(() => 1) };
  };
  expect(windowFrom([every(700, 1000)], 1000, 120)).toBe(880);
  expect(windowFrom([every(970, 1000), every(980, 1000)], 1000, 120)).toBe(970);
  const withGap = { times: [...every(800, 830).times, ...every(950, 1000).times], values: [] };
  expect(windowFrom([withGap], 1000, 120)).toBe(950); // what was before the silence is not of two minutes ago
  expect(windowFrom([every(970, 1000)], 500, 120)).toBeNull(); // a time that is long past
  expect(windowFrom([{ times: [], values: [] }], 1000, 120)).toBeNull();
});
