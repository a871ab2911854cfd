import { expect, test } from "vitest";
import { shared } from "../src/data/shared";

test("what equals what was before is that very object", () => {
  const before = { gpus: [{ uuid: "a", used: 1 }, { uuid: "b", used: 2 }], seq: 1 };
  expect(shared(before, structuredClone(before))).toBe(before);
});

test("what changed is new, and what stands beside it is not", () => {
  const before = { gpus: [{ uuid: "a", used: 1 }, { uuid: "b", used: 2 }], seq: 1 };
  const next = shared(before, { gpus: [{ uuid: "a", used: 1 }, { uuid: "b", used: 3 }], seq: 2 });
  expect(next).toEqual({ gpus: [{ uuid: "a", used: 1 }, { uuid: "b", used: 3 }], seq: 2 });
  expect(next.gpus[0]).toBe(before.gpus[0]);
  expect(next.gpus[1]).not.toBe(before.gpus[1]);
});

test.each([
  [[1, 2], [1]],
  [{ a: 1 }, { b: 1 }],
  [{ a: undefined }, { b: undefined }],
  [null, {}],
  [[], {}],
  [new Map([[1, 2]]), new Map([[1, 3]])],
  [0, -0],
])("%j and %j are not the same", (before, next) => {
  const found = shared<unknown>(before, next);
  expect(found).toStrictEqual(next);
  expect(found).not.toBe(before);
});
