import { expect, test } from "vitest";
import { bandsByStack, READINGS, readingOf, readingTimes } from "../src/data/stack_history";
import { GIB, gpu, process, snapshot } from "./snapshots";

function stack(pid: number, frame: string, bytes: number) {
  return { pid, gpu: 0, frames: [frame, "train.py:1 main"], type: "activation", allocated_bytes: bytes } as const;
}

test("a range is read at round times, few of them, and the next range reads the same ones", () => {
  for (const [from, to] of [[1000, 1300], [5, 86_400], [0, 1e7], [1000, 1001]] as const) {
    const times = readingTimes(from, to);
    expect(times.length).toBeLessThanOrEqual(READINGS + 1);
    expect(times.every((time) => time >= from && time <= to)).toBe(true);
  }
  const [before, after] = [readingTimes(1000, 1300), readingTimes(1002, 1302)];
  expect(after.filter((time) => before.includes(time)).length).toBeGreaterThanOrEqual(before.length - 1);
});

test("bands by stack add up to what is used; beyond eight stacks they share one", () => {
  const machine = (count: number) =>
    snapshot({ gpus: [gpu({ used_bytes: 40 * GIB })], processes: [process({}), process({ pid: 9, gpu_uuid: "GPU-b" })], stacks: [stack(9, "elsewhere.py:1 f", GIB), ...Array.from({ length: count }, (_, index) => stack(1, `f${index}`, (index + 1) * GIB))] });
  const readings = [readingOf(machine(2), "GPU-a"), readingOf(machine(8), "GPU-a"), readingOf(snapshot({ gpus: [] }), "GPU-a")];
  const { bands, used } = bandsByStack([10, 20, 30], readings);
  expect(used).toEqual([40 * GIB, 40 * GIB, null]);
  expect(bands.map((band) => band.values.at(-1))).toEqual(bands.map(() => null));
  for (const step of [0, 1]) expect(bands.reduce((sum, band) => sum + band.values[step]!, 0)).toBe(40 * GIB);
  expect(bands.map((band) => band.name)).not.toContain("elsewhere.py:1 f");
  const many = bandsByStack([10], [readingOf(machine(8), "GPU-a")]).bands;
  expect(many).toHaveLength(9);
  expect(many[0]).toMatchObject({ name: "f7, python 1", values: [8 * GIB] });
});
