import { expect, test, vi } from "vitest";
import { snapshot } from "./snapshots";

function recorded(from: number, value: number) {
  const series = { gpu: 0, gpu_uuid: "GPU-a", pid: null, metric: "used_bytes", low: [value], mean: [value], high: [value] };
  return { start: from, step_seconds: 1, steps: 1, series: [series], recorded_from: 0 };
}

test("of a time that is long past nothing is shown but the minutes around it", async () => {
  const answers: ((body: unknown) => void)[] = [];
  vi.stubGlobal("location", { hash: "", origin: "http://localhost", pathname: "/" });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  vi.stubGlobal("fetch", () => new Promise((resolve) => answers.push((body) => resolve(new Response(JSON.stringify(body))))));
  const { followPast, live, route, tracksShown } = await import("../src/data/store");
  live.value = { ...snapshot(), timestamp: new Date(10_000_000).toISOString() };
  const stop = followPast();
  const look = (time: number) => (route.value = { ...route.peek(), time });
  const seen = () => tracksShown.value.get("GPU-a").values;
  look(2000);
  expect(seen()).toEqual([]);
  answers[0]!(recorded(1990, 7));
  await vi.waitFor(() => expect(seen()).toEqual([7]));
  look(2010);
  expect(seen()).toEqual([7]); // near enough, until the answer comes
  look(5000);
  expect(seen()).toEqual([]);
  route.value = { ...route.peek(), gpu: "GPU-a" };
  expect(answers).toHaveLength(3); // another view of the same time asks no more
  stop();
  vi.unstubAllGlobals();
});

test("an address that names where the recording begins is never before it", async () => {
  vi.stubGlobal("location", { hash: "", origin: "http://localhost", pathname: "/" });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  const { recordedBefore, recordedSince, whyNotRecorded } = await import("../src/data/store");
  const { EMPTY, formatRoute, parseRoute } = await import("../src/data/route");
  for (let nth = 0; nth < 200; nth++) {
    const begin = 1_796_053_348 + nth * 0.000_731;
    recordedSince.value = begin;
    const a = parseRoute(formatRoute({ ...EMPTY, a: recordedBefore(begin + 60, 300) })).a!;
    expect(a).toBeGreaterThanOrEqual(begin);
    expect(a - begin).toBeLessThan(0.003);
    expect(whyNotRecorded(a)).toBeNull();
  }
  expect(recordedBefore(1_796_054_000, 300)).toBe(1_796_053_700);
  expect(whyNotRecorded(1_796_053_000)).toMatch(/^the recording begins/);
  vi.unstubAllGlobals();
});

test("a page that nobody touches takes a forecast with the next sample it draws, and at once while it is used", async () => {
  vi.stubGlobal("location", { hash: "", origin: "http://localhost", pathname: "/" });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  let made = 0;
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ timestamp: ++made, gpus: [], processes: [], advice: [] }))));
  const clock = vi.spyOn(performance, "now");
  const { forecast, live, onSnapshot, refreshForecast } = await import("../src/data/store");
  const sampleAt = (seconds: number) => ({ ...snapshot(), seq: seconds, timestamp: new Date(20_000_000 + seconds * 1000).toISOString() });
  live.value = sampleAt(0);
  await refreshForecast();
  expect(forecast.value?.timestamp).toBe(1);
  await refreshForecast();
  expect(forecast.value?.timestamp).toBe(2);
  clock.mockReturnValue(1e9);
  await refreshForecast();
  expect(forecast.value?.timestamp).toBe(2);
  onSnapshot(sampleAt(1));
  expect(forecast.value?.timestamp).toBe(2);
  onSnapshot(sampleAt(2));
  expect(forecast.value?.timestamp).toBe(3);
  clock.mockRestore();
  vi.unstubAllGlobals();
});

test("the address is written when a drag begins, at its end, and every two seconds of one that goes on", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  vi.advanceTimersByTime(60_000);
  const place = { hash: "#/overview", origin: "http://localhost", pathname: "/" };
  vi.stubGlobal("location", place);
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  const written: string[] = [];
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, hash: string) => written.push((place.hash = hash)) });
  const { go, route } = await import("../src/data/store");
  const { EMPTY } = await import("../src/data/route");
  route.value = EMPTY;
  const drag = (steps: number) => {
    for (let step = 1; step <= steps; step++, vi.advanceTimersByTime(100)) go({ time: 1000 + step });
  };
  drag(3);
  expect(written).toEqual(["#/overview?t=1001"]);
  vi.advanceTimersByTime(1000);
  expect(written).toEqual(["#/overview?t=1001", "#/overview?t=1003"]);
  drag(60);
  expect(written.length).toBeGreaterThan(3);
  expect(written.length).toBeLessThan(7);
  vi.advanceTimersByTime(1000);
  expect(written.at(-1)).toBe("#/overview?t=1060");
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
