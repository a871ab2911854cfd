import { expect, test } from "vitest";
import { byPurpose, kept, leaves, ledgersOf, pixelWidths } from "../src/data/ledger";
import { GIB, snapshot as made } from "./snapshots";

function sum(segments: readonly { bytes: number }[]): number {
  return segments.reduce((total, segment) => total + segment.bytes, 0);
}

test("the segments of every GPU add up to its total", () => {
  for (const ledger of ledgersOf(made())) expect(sum(ledger.segments)).toBe(ledger.gpu.total_bytes);
  for (const ledger of leaves(ledgersOf(made()))) expect(sum(ledger.segments)).toBe(ledger.gpu.total_bytes);
});

test("the segments of every process add up to what it uses", () => {
  for (const ledger of leaves(ledgersOf(made()))) {
    for (const one of ledger.processes) expect(sum(one.segments)).toBe(one.process.used_bytes);
  }
});

test("GPUs stand by index whatever order they come in, slices below their parent", () => {
  const turned = made();
  const labels = ledgersOf({ ...turned, gpus: turned.gpus.toReversed() }).map((ledger) => ledger.label);
  expect(labels).toEqual(["GPU 0", "GPU 2"]);
  expect(leaves(ledgersOf(turned)).map((ledger) => ledger.label)).toEqual(["GPU 0", "GPU 2 / MIG 1"]);
});

test("what no allocator tells of is not measured, and what lies outside an allocator is named so", () => {
  const [gpu, parent] = ledgersOf(made());
  expect(gpu!.processes[0]!.segments.map((segment) => segment.purpose.key)).toEqual(["opaque"]);
  expect(parent!.slices[0]!.processes[0]!.segments.map((segment) => segment.purpose.key)).toEqual([
    "weight",
    "activation",
    "outside",
    "cached",
  ]);
});

test("a process of which no blocks are told is not measured, and is no zero", () => {
  const { blocks_summary: _, ...rest } = made();
  const [gpu] = ledgersOf({ ...rest, blocks_summary: null });
  expect(sum(gpu!.processes[0]!.segments)).toBe(gpu!.processes[0]!.process.used_bytes);
});

test("a tick without blocks tells the same ledger by the purposes of its processes", () => {
  const whole = made();
  const purposes = { weight: 2 * GIB, activation: 13 * GIB, cached: 4 * GIB };
  const tick = { ...whole, blocks_summary: null, processes: whole.processes.map((one) => (one.pid === 2 ? { ...one, purposes } : one)) };
  const inside = (snapshot: typeof whole) => leaves(ledgersOf(snapshot)).map((ledger) => ledger.segments.map((one) => [one.purpose.key, one.bytes]));
  expect(inside(tick)).toEqual(inside(whole));
});

test("sums by purpose keep the order and the bytes", () => {
  const segments = leaves(ledgersOf(made())).flatMap((ledger) => ledger.segments);
  const sums = byPurpose(segments);
  expect(sum(sums)).toBe(sum(segments));
  expect(new Set(sums.map((segment) => segment.purpose.key)).size).toBe(sums.length);
});

test("what is there is seen: one pixel at least, taken from the largest, and the bar stays as wide", () => {
  for (let seed = 1; seed < 60; seed++) {
    const sizes = Array.from({ length: 1 + (seed % 9) }, (_, index) => ({ bytes: (seed * 7919 * (index + 1) ** 5) % 99_991 }));
    const total = sum(sizes);
    const widths = pixelWidths(sizes, total, 500);
    expect(widths.reduce((a, b) => a + b, 0)).toBeCloseTo(total > 0 ? 500 : 0, 6);
    sizes.forEach((size, index) => expect(widths[index]! >= 1).toBe(size.bytes > 0));
  }
});


test("a GPU about which nothing has changed is the same object, and so is what a warmer one holds", () => {
  const before = ledgersOf(made());
  expect(kept(before, ledgersOf(made()))).toBe(before);
  const warmer = made();
  const next = kept(before, ledgersOf({ ...warmer, gpus: warmer.gpus.map((gpu) => (gpu.index === 0 ? { ...gpu, temperature_celsius: 99 } : gpu)) }));
  expect(next[0]!.gpu.temperature_celsius).toBe(99);
  expect(next[0]!.segments).toBe(before[0]!.segments);
  expect(next[1]).toBe(before[1]);
});

test("a GPU that holds more has the new figures", () => {
  const before = ledgersOf(made());
  const fuller = made();
  const next = kept(before, ledgersOf({ ...fuller, processes: fuller.processes.map((one) => ({ ...one, used_bytes: one.used_bytes + GIB })) }));
  expect(next).toEqual(ledgersOf({ ...fuller, processes: fuller.processes.map((one) => ({ ...one, used_bytes: one.used_bytes + GIB })) }));
});
