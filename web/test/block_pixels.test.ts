import { expect, test } from "vitest";
import { purposeOfOpaque } from "../src/data/block_columns";
import { byPurposeClassing, holesOf, NOTHING, strengthStep, STRENGTHS, sumsOf, summarize } from "../src/data/block_pixels";
import { PURPOSES, RANK } from "../src/data/purpose";
import { block, FREE, laidOut, many, MIB } from "./tables";

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

test("holes are counted in pieces; blocks without an address are summed and not placed", () => {
  const layout = laidOut([{ blocks: [block(0, MIB), block(MIB, 2 * MIB, FREE), block(3 * MIB, MIB, FREE)] }, { source: null, blocks: [{ address: 0, size: 5 * MIB, type: "other", subtype: "opaque" }] }], 1e9);
  expect(holesOf(layout)).toMatchObject({ bytes: 3 * MIB, pieces: 2, largest: { index: 1, bytes: 2 * MIB } });
  expect(layout.opaque.map((one) => [one.bytes, purposeOfOpaque(one).key])).toEqual([[5 * MIB, "outside"]]);
  expect(layout.count).toBe(3);
  expect(sumsOf(layout, byPurposeClassing(layout))[RANK.get("cached")!]).toEqual({ bytes: 3 * MIB, blocks: 2 });
  const opaque = laidOut([{ source: null, blocks: [{ address: 0, size: MIB, type: "other", subtype: "opaque" }] }], 1e9);
  expect(purposeOfOpaque(opaque.opaque[0]!).key).toBe("opaque");
});
