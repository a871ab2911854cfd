import { expect, test } from "vitest";
import { gather, ownersOf } from "../src/data/block_columns";
import { addressAt, blockAt, indexOf, layoutOf, positionAt, rowBytesFor, segmentsOf } from "../src/data/block_layout";
import { BASE, block, FREE, laidOut, many, MIB, table, UUID } from "./tables";

test("what lies far apart is cut, begins a row, and keeps its addresses", () => {
  const layout = laidOut([{ blocks: [block(0, MIB), block(1e12, MIB)] }], 1024 * MIB);
  expect(layout.ranges).toHaveLength(2);
  expect(layout.positions[1]).toBe(1024 * MIB);
  expect(addressAt(layout, 1024 * MIB + 7)).toBe(BASE + 1e12 + 7);
  expect(positionAt(layout, BASE + 1e12 + 7)).toBe(1024 * MIB + 7);
  expect(addressAt(layout, 500 * MIB)).toBeNull();
});

test("processes with the same addresses stand one below the other", () => {
  const layout = laidOut([{ pid: 1, blocks: [block(0, MIB)] }, { pid: 2, blocks: [block(0, MIB)] }], 64 * MIB);
  expect([...layout.positions]).toEqual([0, 64 * MIB]);
  expect([...layout.ownerOf]).toEqual([0, 1]);
  expect([indexOf(layout, BASE, 2), indexOf(layout, BASE, null), indexOf(layout, BASE + 1, null)]).toEqual([1, 0, -1]);
});

test("segments are told with what is in use of them", () => {
  const layout = laidOut([{ blocks: [block(0, MIB, { segment: BASE }), block(MIB, MIB, { ...FREE, segment: BASE }), block(4 * MIB, MIB, { segment: BASE + 4 * MIB })] }], 1e9);
  expect(segmentsOf(layout)).toMatchObject([
    { address: BASE, position: 0, size: 2 * MIB, blocks: 2, live: MIB },
    { address: BASE + 4 * MIB, position: 4 * MIB, size: MIB, blocks: 1, live: MIB },
  ]);
  expect(segmentsOf(laidOut([{ blocks: [block(0, MIB)] }], 1e9))).toEqual([]);
});

test("the block under the pointer is found, and a gap is none", () => {
  const layout = laidOut([{ blocks: [block(0, 10), block(20, 10)] }], 1e9);
  expect([0, 9, 10, 20, 29, 30].map((position) => blockAt(layout, position))).toEqual([0, 0, null, 1, 1, null]);
});

test("a row is a power of two, and everything has a place, however many processes and however far apart", () => {
  const gathered = (...parts: Parameters<typeof table>) => gather(ownersOf(table(...parts).parts, UUID, null));
  const far = Array.from({ length: 60 }, (_, index) => block(index * 1e10, MIB));
  const crowd = Array.from({ length: 70 }, (_, pid) => ({ pid: pid + 1, blocks: [block(0, MIB)] }));
  for (const [blocks, rows] of [[gathered({ blocks: many(9000, 5) }), 64], [gathered({ blocks: far }), 64], [gathered(...crowd), 70]] as const) {
    const rowBytes = rowBytesFor(blocks);
    expect(Math.log2(rowBytes) % 1).toBe(0);
    expect(layoutOf(blocks, rowBytes).end).toBeLessThanOrEqual(rowBytes * rows);
  }
});
