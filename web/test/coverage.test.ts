import { expect, test } from "vitest";
import { reasonsOf, shareTold, TOPICS } from "../src/data/coverage";

const SILENT = "no allocator reports";
const process = {
  gpu_uuid: "GPU-a",
  pid: 7,
  name: "python",
  sources: [],
  told: ["used", "threads"],
  missing: { reserved: SILENT, blocks: SILENT, segments: SILENT, times: SILENT, stacks: SILENT, kernels: "no profiler" },
};

test("each column says whether all, some or nothing of it is told", () => {
  expect(TOPICS.map((topic) => shareTold(process, topic))).toEqual(["●", "○", "○", "●", "○"]);
});

test("what is told in part says so", () => {
  expect(shareTold({ ...process, told: ["reserved", "blocks"] }, TOPICS[1]!)).toBe("◐");
});

test("a reason is told once, with all it is the reason of", () => {
  expect(reasonsOf(process)).toEqual([
    [["reserved", "blocks", "segments", "times", "stacks"], SILENT],
    [["kernels"], "no profiler"],
  ]);
  expect(reasonsOf(process, ["kernels", "used"])).toEqual([[["kernels"], "no profiler"]]);
});
