import { expect, test } from "vitest";
import type { Cover } from "../src/data/fleet_answers";
import { coverText, workloadOf } from "../src/data/fleet_words";

const WHOLE: Cover = { whole: true, machines: 3, fresh: 3, late: 0, unknown: 0, late_hosts: [], unknown_hosts: [], shards: 2, missing_shards: [] };
const NOBODY = { host: "a", gpu_uuid: null, pid: 1, name: null, user: null, namespace: null, pod: null, slurm_job: null };

test("a whole fleet is said calmly", () => {
  expect(coverText(WHOLE)).toEqual({ tone: "soft", shape: "●", sentences: ["3 machines: 3 fresh."] });
});

test("machines that are behind are named, and counted beyond the first five", () => {
  const late_hosts = ["a", "b", "c", "d", "e", "f"];
  const told = coverText({ ...WHOLE, whole: false, machines: 9, fresh: 1, late: 7, unknown: 1, late_hosts, unknown_hosts: ["z"] });
  expect(told.tone).toBe("warn");
  expect(told.sentences).toEqual(["9 machines: 1 fresh, 7 late (a, b, c, d, e and 2 more), 1 unknown (z)."]);
});

test("a shard that did not answer is an alarm, and named", () => {
  const told = coverText({ ...WHOLE, whole: false, missing_shards: ["2 (db2:9000)"] });
  expect([told.tone, told.shape]).toEqual(["alarm", "✕"]);
  expect(told.sentences[1]).toBe("1 of 2 shards did not answer: 2 (db2:9000). Their machines are not counted, and in no sum here.");
});

test("whose a process is: its job, else its pod, else its user, else nobody", () => {
  expect(workloadOf({ ...NOBODY, slurm_job: "7", pod: "train", user: "ann" })).toBe("slurm 7");
  expect(workloadOf({ ...NOBODY, namespace: "ml", pod: "train", user: "ann" })).toBe("pod ml/train");
  expect(workloadOf({ ...NOBODY, pod: "train" })).toBe("pod train");
  expect(workloadOf({ ...NOBODY, user: "ann" })).toBe("user ann");
  expect(workloadOf(NOBODY)).toBeNull();
});
