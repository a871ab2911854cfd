import { expect, test } from "vitest";
import { EMPTY, formatRoute, parseRoute, type Route, VIEWS } from "../src/data/route";

test("an address leads to the view it was made from", () => {
  const route: Route = {
    view: "compare",
    time: 1795988711.283,
    gpu: "MIG-51301a7e-d000-4000-8000-000000000000",
    pid: 48211,
    filter: "layers.py:52 & more",
    a: 1795988000,
    b: null,
    more: { colour: "age" },
  };
  for (const view of VIEWS) expect(parseRoute(formatRoute({ ...route, view }))).toEqual({ ...route, view });
});

test("what nobody made leads to the overview, now", () => {
  for (const hash of ["", "#", "#/", "#/nope?t=soon&pid=&gpu=&a=NaN", "nonsense"]) expect(parseRoute(hash)).toEqual({ ...EMPTY, view: "overview" });
});

test("the shortest address is that of the view", () => {
  expect(formatRoute({ ...EMPTY, view: "health" })).toBe("#/health");
});
