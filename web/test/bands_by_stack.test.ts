import { expect, test } from "vitest";
import type { StackHistory } from "../src/data/answers";
import { bandsByStack } from "../src/data/bands";

function series(frame: string, bytes: readonly (number | null)[], gpu = "GPU-a"): StackHistory["series"][number] {
  return { gpu_uuid: gpu, pid: 7, name: "python", frames: frame === "" ? [] : [frame, "train.py:1 main"], bytes };
}

test("bands by stack add up to what is used, without stacks of other GPUs", () => {
  const history = { times: [10, 20, 30], series: [series("f", [10, 20, 30]), series("g", [5, null, 5]), series("elsewhere", [9, 9, 9], "GPU-b"), series("", [3, 3, 3])] };
  const { bands, used } = bandsByStack(history, "GPU-a", [40, 40, null]);
  expect(bands.map((band) => [band.name, band.values])).toEqual([
    ["f, python 7", [10, 20, null]],
    ["g, python 7", [5, 0, null]],
    ["free in caches, or no stack told", [25, 20, null]],
  ]);
  expect(used).toEqual([40, 40, null]);
});

test("beyond eight stacks the smaller ones share a band", () => {
  const many = Array.from({ length: 12 }, (_, index) => series(`f${index}`, [index + 1]));
  const { bands } = bandsByStack({ times: [10], series: many }, "GPU-a", [100]);
  expect(bands).toHaveLength(10);
  expect(bands[0]).toMatchObject({ name: "f11, python 7", values: [12] });
  expect(bands[8]).toMatchObject({ name: "other stacks", values: [1 + 2 + 3 + 4] });
  expect(bands.reduce((sum, band) => sum + band.values[0]!, 0)).toBe(100);
});
