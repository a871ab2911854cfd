import { expect, test } from "vitest";
import { decode } from "../src/data/columns";
import { answer, BASE, block, MIB, table } from "./tables";

test("numbers of every width come out as they went in", () => {
  const part = table({ blocks: [block(0, 255, { segment: BASE, allocated_ms: 1_796_000_000_123 }), block(2 ** 40, 70_000, { segment: BASE + 2 ** 33, rounding: 512 })] }).parts[0]!;
  expect([...part.numbers("address")]).toEqual([BASE, BASE + 2 ** 40]);
  expect([...part.numbers("size")]).toEqual([255, 70_000]);
  expect([0, 1].map((row) => [part.at("segment", row), part.at("size", row), part.at("rounding", row), part.at("thread", row)])).toEqual([
    [BASE, 255, 0, 0],
    [BASE + 2 ** 33, 70_000, 512, 0],
  ]);
  expect([...part.numbers("segment")]).toEqual([BASE, BASE + 2 ** 33]);
  expect([...part.numbers("allocated_ms")]).toEqual([1_796_000_000_123, 0]);
  expect([...part.numbers("rounding")]).toEqual([0, 512]);
});

test("distances add up to addresses, in each part from its own first", () => {
  const parts = table({ isInOrder: true, blocks: [block(0, 10), block(10, 20), block(100, 5)] }, { pid: 2, isInOrder: true, blocks: [block(7, 1), block(9, 1)] }).parts;
  expect(parts.map((part) => [...part.numbers("address")].map((address) => address - BASE))).toEqual([
    [0, 10, 100],
    [7, 9],
  ]);
});

test("what a part does not tell is not told, though another does", () => {
  const [telling, silent] = table({ blocks: [block(0, 1, { stack: 1 })] }, { pid: 2, blocks: [block(0, 1)] }).parts;
  expect([telling!.tells("stack"), silent!.tells("stack"), silent!.tells("thread")]).toEqual([true, false, false]);
  expect([...silent!.numbers("stack")]).toEqual([0]);
});

test("a part that is the same is the very same object, and the others are read past it", () => {
  const [first, second] = [{ pid: 1, blocks: [block(0, MIB)] }, { pid: 2, blocks: [block(0, 5)] }];
  const before = decode(answer([first, second]), null);
  const after = decode(answer([{ ...first, same: true }, { pid: 2, blocks: [block(0, 6), block(6, 7)] }], { version: "v2", since: "v1" }), before);
  expect(after.parts[0]).toBe(before.parts[0]);
  expect([...after.parts[1]!.numbers("size")]).toEqual([6, 7]);
  expect(after.version).toBe("v2");
});

test("another layout, a cut answer, and parts that are not at hand are refused in words", () => {
  const whole = answer([{ blocks: [block(0, MIB)] }]);
  expect(() => decode(new TextEncoder().encode("BBC1 and more").buffer, null)).toThrow("load it again");
  expect(() => decode(whole.slice(0, whole.byteLength - 3), null)).toThrow("cut short");
  expect(() => decode(answer([{ blocks: [block(0, 1)], same: true }], { since: "v0" }), null)).toThrow("does not have");
});
