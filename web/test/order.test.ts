import { expect, test } from "vitest";
import { ordered } from "../src/data/order";

test("rows keep the order asked for, whatever order they come in, and new ones stand last", () => {
  const rows = ["c", "new", "a", "b"].map((key) => ({ key }));
  expect(ordered(rows, ["a", "b", "c", "gone"]).map((row) => row.key)).toEqual(["a", "b", "c", "new"]);
  expect(ordered(rows, null)).toEqual(rows);
});

test("two new rows keep their order among themselves", () => {
  const rows = ["y", "x", "a"].map((key) => ({ key }));
  expect(ordered(rows, ["a"]).map((row) => row.key)).toEqual(["a", "y", "x"]);
});
