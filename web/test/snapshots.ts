/** A small machine: a GPU with a process nobody looks into, and one in MIG mode with a process that tells all. */

import type { BlockGroup, BlockType, Gpu, Process, Snapshot } from "../src/data/answers";

export const GIB = 1024 ** 3;

export function gpu(more: Partial<Gpu>): Gpu {
  return {
    index: 0,
    uuid: "GPU-a",
    name: "NVIDIA H100 80GB HBM3 (simulated)",
    state: "ok",
    reason: null,
    age_seconds: 0,
    total_bytes: 80 * GIB,
    used_bytes: 10 * GIB,
    free_bytes: 69 * GIB,
    driver_reserved_bytes: GIB,
    unattributed_bytes: 0,
    used_percent: 12.5,
    parent_uuid: null,
    mig: null,
    utilization_percent: 50,
    temperature_celsius: 50,
    power_watts: 300,
    xid: null,
    ...more,
  };
}

export function process(more: Partial<Process>): Process {
  return {
    pid: 1,
    name: "python",
    used_bytes: 10 * GIB,
    reserved_bytes: 10 * GIB,
    gpu: 0,
    gpu_uuid: "GPU-a",
    allocated_bytes: null,
    user: "ada",
    container: null,
    start_time: 1000,
    kind: "compute",
    ...more,
  };
}

export function group(pid: number, gpuIndex: number, type: BlockType, size: number, more: Partial<BlockGroup> = {}): BlockGroup {
  return { pid, gpu: gpuIndex, type, subtype: null, allocated: true, utilized: true, count: 1, size, ...more };
}

export function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  const silent = process({ unknown: { reserved_bytes: "no allocator reports; equals used_bytes" } });
  const telling = process({ pid: 2, gpu: 2, gpu_uuid: "MIG-a", used_bytes: 20 * GIB, reserved_bytes: 19 * GIB });
  return {
    total_bytes: 160 * GIB,
    used_bytes: 30 * GIB,
    free_bytes: 128 * GIB,
    processes: [silent, telling],
    threads: [],
    blocks_summary: [
      group(1, 0, "other", 10 * GIB, { subtype: "opaque" }),
      group(2, 2, "other", GIB, { subtype: "opaque" }),
      group(2, 2, "other", 4 * GIB, { allocated: false, utilized: false, count: 7 }),
      group(2, 2, "activation", 13 * GIB, { count: 40 }),
      group(2, 2, "weight", 2 * GIB, { count: 60 }),
    ],
    stacks: null,
    nsight_metrics: {},
    gpus: [
      gpu({}),
      gpu({ index: 2, uuid: "GPU-c", used_bytes: 20 * GIB, free_bytes: 59 * GIB }),
      gpu({
        index: 2,
        uuid: "MIG-a",
        parent_uuid: "GPU-c",
        mig: { gpu_instance_id: 1, compute_instance_id: 0, profile: "3g.40gb" },
        total_bytes: 40 * GIB,
        used_bytes: 20 * GIB,
        free_bytes: 19 * GIB,
      }),
    ],
    engines: [],
    sources: [],
    schema: 1,
    seq: 1,
    timestamp: "2026-11-29T21:43:16.134Z",
    age_seconds: 0,
    host: "demo",
    simulated: true,
    ...more,
  };
}
