import { expect, test } from "vitest";
import { rowBytesFor, segmentsOf } from "../src/data/block_layout";
import { boxesOf, moved, parsePlace, placeAt, placeText, windowOf, zoomed } from "../src/data/map_window";
import { BASE, block, laidOut, MIB } from "./tables";

const blocks = Array.from({ length: 4000 }, (_, index) => block(index * MIB, MIB, { segment: BASE + Math.floor(index / 100) * 100 * MIB }));
const layout = laidOut([{ blocks, isInOrder: true }], 64 * MIB);
const segments = segmentsOf(layout);
const WHOLE = { segment: null, level: 0, at: null };

test("a place is told by the address of the page as it was", () => {
  expect(parsePlace(placeText({ pid: 7, address: BASE + 5 }))).toEqual({ pid: 7, address: BASE + 5 });
  for (const text of [undefined, "", "7", "7-xyz", "x-7f"]) expect(parsePlace(text)).toBeNull();
});

test("without zoom everything is shown", () => {
  expect(rowBytesFor(layout)).toBe(64 * MIB);
  expect(windowOf(layout, segments, WHOLE)).toMatchObject({ from: 0, rowBytes: 64 * MIB, rows: 63, level: 0, top: 0 });
});

test("zooming at a row keeps what stands on it there, in and out again, but at the ends", () => {
  let window = windowOf(layout, segments, WHOLE);
  const position = 10 * window.rowBytes;
  for (const levels of [1, 1, 1, -1, -1]) {
    const row = Math.floor((position - window.from) / window.rowBytes);
    const next = zoomed(layout, window, levels, row);
    window = windowOf(layout, segments, { segment: null, ...next });
    expect(Math.abs(Math.floor((position - window.from) / window.rowBytes) - row)).toBeLessThanOrEqual(1);
  }
  expect(zoomed(layout, window, -9, 3)).toEqual({ level: 0, at: null });
});

test("a segment alone fills the map from its first byte to its last", () => {
  const segment = segments[7]!;
  const window = windowOf(layout, segments, { segment: { pid: 1, address: segment.address }, level: 0, at: null });
  expect(window.segment).toBe(segment);
  expect(window.from).toBe(segment.position);
  expect(window.rows * window.rowBytes).toBeGreaterThanOrEqual(segment.size);
  expect(window.rows).toBeGreaterThan(20);
});

test("moving ends at the last row, and never above the first", () => {
  let window = windowOf(layout, segments, { segment: null, level: 3, at: null });
  for (let times = 0; times < 50; times++) window = windowOf(layout, segments, { segment: null, level: 3, at: moved(layout, window, 25) });
  expect(window.top + window.rows).toBe(window.rowsInAll);
  expect(moved(layout, window, -window.top)).toBeNull();
  expect(placeAt(layout, -5)).toEqual({ pid: 1, address: BASE });
});

test("what an address names and is no more there shows everything", () => {
  expect(windowOf(layout, segments, { segment: { pid: 9, address: 1 }, level: 99, at: { pid: 9, address: 1 } })).toMatchObject({ segment: null, top: 0 });
});

test("a block over a row's end has a box on each row", () => {
  const window = windowOf(layout, segments, WHOLE);
  expect(boxesOf(window, 63 * MIB, 2 * MIB, 64)).toEqual([
    { row: 0, x: 63, width: 1 },
    { row: 1, x: 0, width: 1 },
  ]);
  expect(boxesOf(window, 4000 * 64 * MIB, MIB, 64)).toEqual([]);
});
