import { expect, test } from "vitest";
import type { Forecast, Outlook } from "../src/data/answers";
import { leaves, ledgersOf } from "../src/data/ledger";
import { fillingOf, isAlarm, movedSince, risenSince, verdictOf } from "../src/data/verdict";
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
    message: "",
    ...more,
  };
}

function forecast(gpus: Outlook[], processes: Outlook[]): Forecast {
  return { timestamp: 0, gpus, processes, advice: [] };
}

const ledgers = leaves(ledgersOf(snapshot()));

test("without a prediction there is no verdict", () => {
  expect(verdictOf(null, ledgers, [])).toBeNull();
  expect(verdictOf(forecast([outlook({})], []), ledgers, [])).toBeNull();
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
