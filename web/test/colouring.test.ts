import { expect, test } from "vitest";
import { sumsOf } from "../src/data/block_pixels";
import { COLOURINGS, schemeOf } from "../src/data/colouring";
import { block, laidOut, MIB } from "./tables";

const NOW = 1_796_000_000;

function stack(frame: string) {
  return { frames: [frame], type: "weight", subtype: null, allocated_bytes: 0, blocks: 0 } as const;
}

test("whatever the colours stand for, every block has one, and the bytes are the same", () => {
  const layout = laidOut(
    [
      { pid: 1, blocks: [block(0, MIB, { stack: 1, allocated_ms: 1 }), block(MIB, 3 * MIB, { isFree: true })], stacks: [stack("a")] },
      { pid: 2, blocks: [block(0, 2 * MIB), block(2 * MIB, MIB, { type: "kv_cache" })] },
    ],
    1e9,
  );
  for (const kind of COLOURINGS) {
    const scheme = schemeOf(layout, kind, NOW);
    const sums = sumsOf(layout, scheme);
    expect(sums.reduce((sum, one) => sum + one.bytes, 0)).toBe(7 * MIB);
    expect(Math.max(...scheme.codes)).toBeLessThan(scheme.inks.length);
    expect(sums.reduce((sum, one, code) => sum + (scheme.live[code] === 1 ? one.bytes : 0), 0)).toBe(4 * MIB);
  }
});

test("the stack that holds most comes first; the same stack of two processes is two; beyond eight they share a texture", () => {
  const stacks = Array.from({ length: 12 }, (_, index) => stack(`f${index}`));
  const blocks = stacks.map((_, index) => block(index * 100, index + 1, { stack: index + 1 }));
  const scheme = schemeOf(laidOut([{ pid: 1, blocks, stacks }, { pid: 2, blocks: [block(0, 1000, { stack: 1 })], stacks }], 1e9), "stack", NOW);
  expect(scheme.inks[1]!.name).toBe("f0");
  expect(scheme.inks[2]!.name).toBe("f11");
  expect(scheme.inks.map((ink) => ink.name)).toContain("other stacks");
  expect(scheme.codes[0]).not.toBe(scheme.codes.at(-1));
  expect(scheme.inks[scheme.codes[0]!]!.name).toBe("other stacks");
});

test("ages are told in six steps, and an age that nobody told is not young", () => {
  const ages = [1, 30, 300, 1800, 7200, 100_000];
  const blocks = ages.map((age, index) => block(index * 10, 5, { allocated_ms: (NOW - age) * 1000 }));
  const scheme = schemeOf(laidOut([{ blocks: [...blocks, block(100, 5)] }], 1e9), "age", NOW);
  expect([...scheme.codes].map((code) => scheme.inks[code]!.name)).toEqual(["under 10 s", "10 s to 1 min", "1 to 10 min", "10 min to 1 h", "1 h to 1 day", "over 1 day", "age not told"]);
});
