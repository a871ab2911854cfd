import { expect, test } from "vitest";
import type { BlackboxEvent } from "../src/data/answers";
import { foldedMarks, kindOf, KINDS, markOf, namesOf } from "../src/data/marks";

function event(more: Partial<BlackboxEvent>): BlackboxEvent {
  return { id: 1, kind: "threshold", timestamp: 100, message: "gpu is nearly full", gpu_uuid: "GPU-a", ...more };
}

const oom = event({
  kind: "oom",
  pid: 7,
  message: "out of memory: tried to allocate 853229056 bytes",
  oom: { requested_bytes: 853_229_056, device_total_bytes: null, device_free_bytes: null, allocator: null },
});

test("a refusal is told in words and in sizes people read", () => {
  const mark = markOf(oom, () => "python");
  expect(mark.headline).toBe("python 7 ran out of memory: it asked for 813.7 MiB");
  expect([mark.shape, mark.tone, mark.isOnAxis]).toEqual(["▼", "alarm", true]);
});

test("falling below a threshold is no mark on the charts", () => {
  const threshold = { threshold_percent: 95, used_percent: 10, above: false };
  expect(markOf(event({ threshold }), () => null).isOnAxis).toBe(false);
  expect(markOf(event({ threshold: { ...threshold, above: true } }), () => null).word).toBe("95 %");
});

test("a kind of event that this page does not know yet is shown, and has a place", () => {
  const strange = event({ kind: "brand_new" });
  expect(markOf(strange, () => null).word).toBe("brand_new");
  expect(KINDS).toContain(kindOf(strange));
});

test("names outlive their processes", () => {
  const life = { name: "python", start_time: 1, used_bytes: 1, peak_used_bytes: 1, ended: null, signal: null, exit_code: null, exception: null };
  expect(namesOf([event({ kind: "process_exit", pid: 7, process: life })]).get(7)).toBe("python");
});

test("a folded list is told the newest first, with how often each came and since when", () => {
  const repeated = { ...oom, id: 3, timestamp: 3, repeats: { count: 3, first_at: 1, last_at: 3 } };
  const once = event({ id: 9, timestamp: 2.5, gpu_uuid: "GPU-b" });
  const rows = foldedMarks([once, repeated], () => "python");
  expect(rows.map(({ mark, count, since }) => [mark.event.id, count, since])).toEqual([
    [3, 3, 1],
    [9, 1, 2.5],
  ]);
});
