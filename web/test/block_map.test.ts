import { expect, test } from "vitest";
import type { Block } from "../src/data/answers";
import { addressAt, blockAt, byPurposeClassing, holesOf, layoutOf, NOTHING, rowBytesFor, strengthOf, sumsOf, summarize } from "../src/data/block_map";
import { PURPOSES, RANK } from "../src/data/purpose";

const MIB = 1024 ** 2;
const BASE = 0x7f00_0000_0000;

function block(start: number, size: number, more: Partial<Block> = {}): Block {
  return { block_id: start, address: BASE + start, size, type: "weight", allocated: true, utilized: true, pid: 1, gpu: 0, ...more };
}

const FREE = { type: "other", allocated: false, utilized: false } as const;

/** Blocks without gaps, of sizes that look random and are the same each time. */
function many(count: number, seed: number): Block[] {
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
  const layout = layoutOf([block(0, MIB / 4), block(MIB / 4, MIB / 2, { type: "activation" }), block((3 * MIB) / 4, MIB / 4, FREE)], 1e9, true);
  const pixels = summarize(layout, 0, MIB, 2, byPurposeClassing(layout));
  expect(PURPOSES[pixels.classes[0]!]!.key).toBe("activation");
  expect(pixels.shares[0]).toBeCloseTo(0.75);
  expect(pixels.classes[1]).toBe(NOTHING);
  expect(pixels.hidden).toBe(3);
});

test("a pixel is free only if nothing in it is in use", () => {
  const layout = layoutOf([block(0, MIB - 512, FREE), block(MIB - 512, 512)], 1e9, true);
  const pixels = summarize(layout, 0, MIB, 1, byPurposeClassing(layout));
  expect(PURPOSES[pixels.classes[0]!]!.key).toBe("weight");
  expect(strengthOf(pixels.shares[0]!)).toBe(0.3);
});

test("the live bytes of all pixels are those of all blocks, at every zoom", () => {
  for (const seed of [1, 2, 3]) {
    const layout = layoutOf(many(400, seed), 1e12, true);
    const live = layout.blocks.reduce((sum, one) => sum + (one.utilized ? one.size : 0), 0);
    for (const perPixel of [64 * 1024, MIB, 64 * MIB]) {
      const count = Math.ceil(layout.end / perPixel);
      const pixels = summarize(layout, 0, perPixel, count, byPurposeClassing(layout));
      const drawn = pixels.shares.reduce((sum, share) => sum + share * perPixel, 0);
      expect(drawn / live).toBeCloseTo(1, 4);
    }
  }
});

test("a window of the map is the same as that part of the whole", () => {
  const layout = layoutOf(many(300, 7), 1e12, true);
  const whole = summarize(layout, 0, MIB, 200, byPurposeClassing(layout));
  const part = summarize(layout, 50 * MIB, MIB, 60, byPurposeClassing(layout));
  expect([...part.classes]).toEqual([...whole.classes.slice(50, 110)]);
});

test("what lies far apart is cut, begins a row, and keeps its addresses", () => {
  const layout = layoutOf([block(0, MIB), block(1e12, MIB)], 1024 * MIB, true);
  expect(layout.ranges).toHaveLength(2);
  expect(layout.positions[1]).toBe(1024 * MIB);
  expect(addressAt(layout, 1024 * MIB + 7)).toBe(BASE + 1e12 + 7);
  expect(addressAt(layout, 500 * MIB)).toBeNull();
});

test("the block under the pointer is found, and a gap is none", () => {
  const layout = layoutOf([block(0, 10), block(20, 10)], 1e9, true);
  expect([0, 9, 10, 20, 29, 30].map((position) => blockAt(layout, position))).toEqual([0, 0, null, 1, 1, null]);
});

test("a row is a power of two, and everything has a place", () => {
  const blocks = many(9000, 5);
  const rowBytes = rowBytesFor(blocks);
  expect(Math.log2(rowBytes) % 1).toBe(0);
  expect(layoutOf(blocks, rowBytes, true).end).toBeLessThanOrEqual(rowBytes * 50);
});

test("holes are counted in pieces; blocks without an address are summed and not placed", () => {
  const opaque = block(-BASE, 5 * MIB, { type: "other", subtype: "opaque" });
  const layout = layoutOf([opaque, block(0, MIB), block(MIB, 2 * MIB, FREE), block(3 * MIB, MIB, FREE)], 1e9, true);
  expect(holesOf(layout)).toMatchObject({ bytes: 3 * MIB, pieces: 2, largest: { index: 1, bytes: 2 * MIB } });
  expect(layout.opaque).toEqual([opaque]);
  expect(sumsOf(layout, true).find((sum) => sum.purpose.key === "outside")?.bytes).toBe(5 * MIB);
  expect(RANK.get("outside")).toBeGreaterThan(RANK.get("other")!);
});
