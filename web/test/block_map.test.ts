import { expect, test } from "vitest";
import { addressAt, blockAt, byPurposeClassing, detailOf, gather, holesOf, indexOf, layoutOf, NOTHING, ownersOf, positionAt, purposeOfOpaque, rowBytesFor, segmentsOf, strengthStep, STRENGTHS, sumsOf, summarize } from "../src/data/block_map";
import { PURPOSES, RANK } from "../src/data/purpose";
import { BASE, block, laidOut, type Made, MIB, table, UUID } from "./tables";

const FREE = { type: "other", isFree: true } as const;

/** Blocks without gaps, of sizes that look random and are the same each time. */
function many(count: number, seed: number): Made[] {
  let at = 0;
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const size = 512 * (1 + (state % 4000));
    const made = block(at, size, state % 3 === 0 ? FREE : { type: state % 2 === 0 ? "weight" : "activation" });
    at += size;
    return made;
  });
}

test("a pixel takes the purpose with the most live bytes, at its share in use", () => {
  const layout = laidOut([{ blocks: [block(0, MIB / 4), block(MIB / 4, MIB / 2, { type: "activation" }), block((3 * MIB) / 4, MIB / 4, FREE)] }], 1e9);
  const pixels = summarize(layout, 0, MIB, 2, byPurposeClassing(layout));
  expect(PURPOSES[pixels.classes[0]!]!.key).toBe("activation");
  expect(pixels.shares[0]).toBeCloseTo(0.75);
  expect(pixels.classes[1]).toBe(NOTHING);
  expect(pixels.hidden).toBe(3);
});

test("a pixel is free only if nothing in it is in use", () => {
  const layout = laidOut([{ blocks: [block(0, MIB - 512, FREE), block(MIB - 512, 512)] }], 1e9);
  const pixels = summarize(layout, 0, MIB, 1, byPurposeClassing(layout));
  expect(PURPOSES[pixels.classes[0]!]!.key).toBe("weight");
  expect(STRENGTHS[strengthStep(pixels.shares[0]!)]).toBe(0.3);
});

test("the live bytes of all pixels are those of all blocks, at every zoom", () => {
  for (const seed of [1, 2, 3]) {
    const blocks = many(400, seed);
    const layout = laidOut([{ blocks, isInOrder: true }], 1e12);
    const live = blocks.reduce((sum, one) => sum + (one.isFree ? 0 : one.size), 0);
    for (const perPixel of [64 * 1024, MIB, 64 * MIB]) {
      const pixels = summarize(layout, 0, perPixel, Math.ceil(layout.end / perPixel), byPurposeClassing(layout));
      const drawn = pixels.shares.reduce((sum, share) => sum + share * perPixel, 0);
      expect(drawn / live).toBeCloseTo(1, 4);
    }
  }
});

test("a window of the map is the same as that part of the whole", () => {
  const layout = laidOut([{ blocks: many(300, 7) }], 1e12);
  const whole = summarize(layout, 0, MIB, 200, byPurposeClassing(layout));
  const part = summarize(layout, 50 * MIB, MIB, 60, byPurposeClassing(layout));
  expect([...part.classes]).toEqual([...whole.classes.slice(50, 110)]);
});

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

test("what several allocators of a process tell is sorted by address, each block with its own facts", () => {
  const stacks = [{ frames: ["a.py:1 f"], type: "weight", subtype: null, allocated_bytes: 3, blocks: 1 }] as const;
  const layout = laidOut(
    [
      { source: "pytorch", blocks: [block(10, 1), block(50, 2), block(20, 3, { stack: 1 })], stacks },
      { source: "cupy", blocks: [block(0, 4, { type: "activation" }), block(30, 5)] },
    ],
    1e9,
  );
  expect([...layout.addresses].map((address) => address - BASE)).toEqual([0, 10, 20, 30, 50]);
  expect([...layout.sizes]).toEqual([4, 1, 3, 5, 2]);
  const details = [0, 1, 2, 3, 4].map((index) => detailOf(layout, index));
  expect(details.map((one) => one.stack?.frames[0])).toEqual([undefined, undefined, "a.py:1 f", undefined, undefined]);
  expect(details.map((one) => one.purpose.key)).toEqual(["activation", "weight", "weight", "weight", "weight"]);
});

test("nothing that was not told is told of a block", () => {
  const layout = laidOut([{ blocks: [block(0, 512)] }], 1e9);
  expect(detailOf(layout, 0)).toMatchObject({ requested: null, thread: null, stream: null, segment: null, pool: null, allocatedAt: null, stack: null });
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

test("holes are counted in pieces; blocks without an address are summed and not placed", () => {
  const layout = laidOut([{ blocks: [block(0, MIB), block(MIB, 2 * MIB, FREE), block(3 * MIB, MIB, FREE)] }, { source: null, blocks: [{ address: 0, size: 5 * MIB, type: "other", subtype: "opaque" }] }], 1e9);
  expect(holesOf(layout)).toMatchObject({ bytes: 3 * MIB, pieces: 2, largest: { index: 1, bytes: 2 * MIB } });
  expect(layout.opaque.map((one) => [one.bytes, purposeOfOpaque(one).key])).toEqual([[5 * MIB, "outside"]]);
  expect(layout.count).toBe(3);
  expect(sumsOf(layout, byPurposeClassing(layout))[RANK.get("cached")!]).toEqual({ bytes: 3 * MIB, blocks: 2 });
  const opaque = laidOut([{ source: null, blocks: [{ address: 0, size: MIB, type: "other", subtype: "opaque" }] }], 1e9);
  expect(purposeOfOpaque(opaque.opaque[0]!).key).toBe("opaque");
});
