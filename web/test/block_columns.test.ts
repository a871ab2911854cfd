import { expect, test } from "vitest";
import { detailOf } from "../src/data/block_columns";
import { BASE, block, laidOut } from "./tables";

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
