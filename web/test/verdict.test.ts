import { expect, test } from "vitest";
import type { Forecast, Outlook } from "../src/data/answers";
import { clock } from "../src/data/format";
import { leaves, ledgersOf } from "../src/data/ledger";
import { courseWords, fillingOf, isAlarm, movedSince, risenSince, untold, verdictOf } from "../src/data/verdict";
import { GIB, snapshot } from "./snapshots";

function outlook(more: Partial<Outlook>): Outlook {
  return {
    gpu: 2,
    gpu_uuid: "MIG-a",
    pid: null,
    name: "python",
    start_time: 1000,
    used_bytes: 20 * GIB,
    headroom_bytes: 19 * GIB,
    full_in_seconds_min: null,
    full_in_seconds: null,
    full_in_seconds_max: null,
    since: null,
    grower: null,
    evidence: null,
    unknown: {},
    predictable_from: null,
    message: "",
    ...more,
  };
}

function forecast(gpus: Outlook[], processes: Outlook[]): Forecast {
  return { timestamp: 0, gpus, processes, advice: [] };
}

const early = { predictable_from: 1036, unknown: { full_in_seconds: "too little is recorded yet" } };
const ledgers = leaves(ledgersOf(snapshot()));

test("without a prediction there is no verdict", () => {
  expect(verdictOf(null, ledgers, [])).toBeNull();
  expect(verdictOf(forecast([outlook({})], []), ledgers, [])).toBeNull();
});

test("while too little is recorded it is told from when on it can be told whether one fills", () => {
  const all = ledgers.map(({ gpu }) => outlook({ gpu_uuid: gpu.uuid, ...early }));
  expect(untold(forecast(all, []), ledgers)).toBe(`whether one fills cannot be told before ${clock(1036)}: too little is recorded yet`);
  expect(untold(forecast(all.slice(0, 1), []), ledgers)).toContain("whether it fills");
  expect(untold(forecast(all.map((one) => ({ ...one, unknown: {}, predictable_from: null })), []), ledgers)).toBeNull();
});

test("a GPU that does not answer, or is new, is not counted among those without a trend", () => {
  const [first, second] = ledgers;
  const lost = outlook({ gpu_uuid: first!.gpu.uuid, unknown: { full_in_seconds: "fell off the bus" } });
  const known = outlook({ gpu_uuid: second!.gpu.uuid });
  expect(untold(forecast([lost, known], []), ledgers)).toBe(`no trend fills those that are known; whether ${first!.label} fills is not known: fell off the bus`);
  expect(untold(forecast([lost], []), ledgers)).toBe(`whether ${first!.label} fills is not known: fell off the bus`);
  expect(untold(forecast([lost, { ...known, ...early }], []), ledgers)).toContain(`whether ${second!.label} fills is not known before ${clock(1036)}`);
});

test("the words beside a GPU never say more than its forecast", () => {
  const moves = { kind: "moves", low: 10 * GIB, high: 20 * GIB } as const;
  const evidence = { from: 0, to: 60, points: 60, rise_bytes: GIB, rate_bytes_per_second: GIB / 60, rate_low_bytes_per_second: 1, rate_high_bytes_per_second: 2 };
  expect(courseWords(outlook({ ...early }), moves)).toBe("too early to tell");
  expect(courseWords(outlook({}), moves)).toBe("no trend");
  expect(courseWords(outlook({ evidence }), moves)).toBe("+1.0 GiB/min");
  expect(courseWords(outlook({ unknown: { full_in_seconds: "lost" } }), moves)).toBe("not known");
  expect(courseWords(outlook({}), { ...moves, kind: "flat" })).toBe("flat");
  expect(courseWords(null, moves)).toBe("10.0–20.0 GiB");
  expect(courseWords(null, null)).toBe("no course yet");
});

test("the soonest counts, with the process that grows and the refusals before", () => {
  const oom = { id: 1, kind: "oom", timestamp: 5, message: "", gpu_uuid: "MIG-a" };
  const verdict = verdictOf(
    forecast([outlook({ gpu: 0, gpu_uuid: "GPU-a", full_in_seconds: 900 })], [outlook({ pid: 2, full_in_seconds: 50 })]),
    ledgers,
    [oom, { ...oom, gpu_uuid: "GPU-a" }],
  )!;
  expect(verdict.ledger.label).toBe("GPU 2 / MIG 1");
  expect(verdict.process?.pid).toBe(2);
  expect(verdict.others).toEqual([]);
  expect(verdict.earlier).toEqual([oom]);
  expect(isAlarm(verdict)).toBe(true);
});

test("of a GPU that fills, the server tells who grows, since when and what for", () => {
  const origin = { purpose: "activation", purpose_rise_bytes: GIB, frames: ["layers.py:52 attention"], earlier_failures: null };
  const grower = { pid: 2, name: "python", user: "ada", since: 940, origin };
  const verdict = verdictOf(forecast([outlook({ full_in_seconds: 40, since: 950, grower })], []), ledgers, [])!;
  expect([verdict.process?.pid, verdict.since, verdict.origin]).toEqual([2, 940, origin]);
});

test("without a grower the rise of the GPU itself tells since when", () => {
  const verdict = verdictOf(forecast([outlook({ full_in_seconds: 40, since: 950 })], []), ledgers, [])!;
  expect([verdict.since, verdict.origin]).toEqual([950, null]);
});

test("a prediction for a GPU that is gone from the page is none", () => {
  expect(verdictOf(forecast([outlook({ gpu_uuid: "GPU-lost", full_in_seconds: 5 })], []), ledgers, [])).toBeNull();
});

test("hours away is no alarm", () => {
  expect(isAlarm(verdictOf(forecast([outlook({ full_in_seconds: 7200 })], []), ledgers, [])!)).toBe(false);
  expect(fillingOf(forecast([outlook({ full_in_seconds: 7200 })], []), "MIG-a")?.full_in_seconds).toBe(7200);
  expect(fillingOf(null, "MIG-a")).toBeNull();
});

test("what a process took is told from when it was first seen, or from its start", () => {
  const track = { times: [900, 1000], values: [5 * GIB, 8 * GIB] };
  const [first, second] = movedSince(ledgers, (process) => (process.pid === 1 ? track : { times: [], values: [] }), 950);
  expect(first!.process.pid).toBe(1);
  expect(first!.bytes).toBe(5 * GIB);
  expect([second!.bytes, second!.isNew]).toEqual([20 * GIB, true]);
});

test("what a process took since its rise began is told from what it held then, and from nothing where it began after", () => {
  const process = { ...snapshot().processes[0]!, used_bytes: 30, start_time: 1000 };
  expect(risenSince(process, { times: [1000, 1010, 1020], values: [5, 10, 30] }, 1015)).toBe(20);
  expect(risenSince(process, { times: [1005], values: [5] }, 1000)).toBe(30);
  expect(risenSince(process, { times: [1005], values: [5] }, 1004)).toBeNull();
});
