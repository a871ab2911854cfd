import { expect, test } from "vitest";
import type { Comparison, ProcessChange, TypeChange } from "../src/data/answers";
import { purposeChanges, stackChanges } from "../src/data/comparison";

function type(more: Partial<TypeChange>): TypeChange {
  return { type: "activation", subtype: null, before_bytes: 10, after_bytes: 30, delta_bytes: 20, before_blocks: 1, after_blocks: 3, ...more };
}

function process(more: Partial<ProcessChange>): ProcessChange {
  return { change: "grown", gpu: 0, gpu_uuid: "GPU-a", pid: 1, name: "python", before_bytes: 0, after_bytes: 0, delta_bytes: 0, types: [], purposes: [], stacks: [], unknown: {}, ...more };
}

function comparison(...processes: ProcessChange[]): Comparison {
  const side = { timestamp: "", used_bytes: 0 };
  return { a: side, b: side, delta_bytes: 0, processes, unchanged: 0 };
}

test("purposes are summed over processes, the largest change first, shrinking or growing", () => {
  const rows = purposeChanges(
    comparison(process({ types: [type({}), type({ type: "weight", before_bytes: 90, after_bytes: 0, delta_bytes: -90 })] }), process({ pid: 2, types: [type({})] })),
  );
  expect(rows.map((row) => [row.purpose.key, row.before, row.after, row.delta])).toEqual([
    ["weight", 90, 0, -90],
    ["activation", 20, 60, 40],
  ]);
});

test("a change is told by its stack, and by its purpose alone where no stack was told", () => {
  const frames = ["layers.py:52 attention"];
  const stack = { frames, type: "activation", subtype: null, before_bytes: 0, after_bytes: 20, delta_bytes: 20 } as const;
  const rows = stackChanges(comparison(process({ types: [type({}), type({ type: "other", delta_bytes: 5, after_bytes: 15 })], stacks: [stack] }), process({ pid: 2, types: [type({ after_bytes: 0, delta_bytes: -10 })], unknown: { stacks: "not told then" } })));
  expect(rows.map((row) => [row.process.pid, row.word, row.frames.length, row.note])).toEqual([
    [1, "NEW", 1, null],
    [2, "GONE", 0, "not told then"],
    [1, "GREW", 0, "no stack was told"],
  ]);
});

test("what is in use, cached and free are told apart where the allocator tells", () => {
  const purpose = (name: string, delta: number) => ({ purpose: name, before_bytes: 10, after_bytes: 10 + delta, delta_bytes: delta });
  const told = process({ types: [type({ type: "other", delta_bytes: 12 })], purposes: [purpose("cached", 9), purpose("kv_cached", 4), purpose("kv_used", -4), purpose("other", 3)], unknown: { stacks: "no history" } });
  expect(purposeChanges(comparison(told)).map((row) => [row.purpose.key, row.delta])).toEqual([
    ["cached", 9],
    ["kv_used", -4],
    ["kv_cached", 4],
    ["other", 3],
  ]);
  expect(stackChanges(comparison(told)).map((row) => [row.purpose.key, row.note])).toEqual([
    ["cached", "its allocator holds it without using it"],
    ["kv_cached", "pages kept for a prefix that may come again"],
    ["kv_used", "no history"],
    ["other", "no history"],
  ]);
});
