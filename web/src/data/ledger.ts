/** The ledger of each GPU: who holds how much for what, and it adds up to the total. */

import type { Gpu, Process, Snapshot } from "./answers";
import { grouped } from "./grouped";
import { shared } from "./shared";
import { type Purpose, PURPOSE_OF, purposeOf, RANK } from "./purpose";

export interface Segment {
  purpose: Purpose;
  bytes: number;
  blocks: number | null;
  /** Whose it is; null for what is no process's. */
  process: Process | null;
}

export interface ProcessLedger {
  process: Process;
  /** An allocator tells what is inside. */
  reports: boolean;
  /** In the fixed order of purposes; they add up to the process's `used_bytes`. */
  segments: readonly Segment[];
}

export interface GpuLedger {
  gpu: Gpu;
  label: string;
  /** A MIG slice stands below its parent, which then has slices and no processes of its own. */
  slices: readonly GpuLedger[];
  processes: readonly ProcessLedger[];
  /** Of the whole GPU, left to right: processes, unattributed, free, driver. They add up to `total_bytes`. */
  segments: readonly Segment[];
}

/** "GPU 0", or "GPU 2 / MIG 1". */
export function gpuLabel(gpu: Gpu): string {
  return gpu.mig === null ? `GPU ${gpu.index}` : `GPU ${gpu.index} / MIG ${gpu.mig.gpu_instance_id}`;
}

/** "0", or "2 / MIG 1": on chips and lanes. */
export function gpuShort(gpu: Gpu): string {
  return gpuLabel(gpu).replace(/^GPU /, "");
}

export function gpuModel(gpu: Gpu): string {
  return gpu.name.replace(/^NVIDIA |^AMD /, "").replace(/ \(simulated\)/, "").replace(/ MIG .*$/, "");
}

/** Those that hold memory: GPUs, and slices in place of a GPU that has some. */
export function leaves(ledgers: readonly GpuLedger[]): GpuLedger[] {
  return ledgers.flatMap((ledger) => (ledger.slices.length > 0 ? ledger.slices : [ledger]));
}

export function processLabel(process: { name: string | null; pid: number | null }): string {
  return `${process.name || "process"} ${process.pid || ""}`.trim(); // a memory snapshot tells neither
}

/** The identity of a process on a GPU, as a key. */
export function processKey(process: { gpu_uuid: string | null; pid: number | null; start_time: number | null }): string {
  return `${process.gpu_uuid}/${process.pid}/${process.start_time}`;
}

/** GPUs by index, slices below their parent, processes by start. */
export function ledgersOf(snapshot: Snapshot): GpuLedger[] {
  const inside = insideOf(snapshot);
  const bySlice = new Map<string, Gpu[]>();
  for (const gpu of snapshot.gpus) {
    if (gpu.parent_uuid !== null) bySlice.set(gpu.parent_uuid, [...(bySlice.get(gpu.parent_uuid) ?? []), gpu]);
  }
  return snapshot.gpus
    .filter((gpu) => gpu.parent_uuid === null)
    .toSorted((a, b) => a.index - b.index)
    .map((gpu) => {
      const slices = (bySlice.get(gpu.uuid) ?? [])
        .toSorted((a, b) => (a.mig?.gpu_instance_id ?? 0) - (b.mig?.gpu_instance_id ?? 0))
        .map((slice) => ledgerOf(slice, [], inside));
      return ledgerOf(gpu, slices, inside);
    });
}

function ledgerOf(gpu: Gpu, slices: readonly GpuLedger[], inside: readonly ProcessLedger[]): GpuLedger {
  const processes = inside
    .filter((ledger) => ledger.process.gpu_uuid === gpu.uuid)
    .toSorted((a, b) => (a.process.start_time ?? 0) - (b.process.start_time ?? 0) || a.process.pid - b.process.pid);
  const below = slices.length > 0 ? slices.flatMap((slice) => slice.processes) : processes;
  const own = below.flatMap((ledger) => ledger.segments);
  const rest = [
    segmentOf("unattributed", Math.max(0, gpu.unattributed_bytes)),
    segmentOf("free", gpu.free_bytes),
    segmentOf("driver", gpu.driver_reserved_bytes),
  ].filter((segment) => segment.bytes > 0);
  return { gpu, label: gpuLabel(gpu), slices, processes: slices.length > 0 ? [] : processes, segments: [...own, ...rest] };
}

function segmentOf(key: string, bytes: number): Segment {
  return { purpose: PURPOSE_OF.get(key)!, bytes, blocks: null, process: null };
}

/** Every process with its memory by purpose. */
function insideOf(snapshot: Snapshot): ProcessLedger[] {
  const groups = grouped(snapshot.blocks_summary ?? [], (group) => `${group.gpu}/${group.pid}`);
  return snapshot.processes.map((process) => {
    const reports = !("reserved_bytes" in (process.unknown ?? {}));
    const found = groups.get(`${process.gpu}/${process.pid}`);
    if (found === undefined) return withoutBlocks(process, reports);
    const sums = new Map<Purpose, { bytes: number; blocks: number }>();
    for (const group of found) {
      const purpose = purposeOf(group, reports);
      const sum = sums.get(purpose) ?? { bytes: 0, blocks: 0 };
      sums.set(purpose, { bytes: sum.bytes + group.size, blocks: sum.blocks + group.count });
    }
    const segments = [...sums]
      .map(([purpose, sum]) => ({ purpose, bytes: sum.bytes, blocks: sum.blocks, process }))
      .toSorted((a, b) => RANK.get(a.purpose.key)! - RANK.get(b.purpose.key)!);
    return { process, reports, segments };
  });
}

/** From the sums by purpose, where an allocator tells them; what it holds beside them lies outside it. */
function withoutBlocks(process: Process, reports: boolean): ProcessLedger {
  const sums = reports ? Object.entries(process.purposes ?? {}).filter(([key]) => PURPOSE_OF.has(key)) : [];
  const told = sums.reduce((sum, [, bytes]) => sum + bytes, 0);
  const rest: [string, number] = [sums.length > 0 ? "outside" : "opaque", process.used_bytes - told];
  const segments = [...sums, ...(rest[1] > 0 ? [rest] : [])]
    .map(([key, bytes]) => ({ purpose: PURPOSE_OF.get(key)!, bytes, blocks: null, process }))
    .toSorted((a, b) => RANK.get(a.purpose.key)! - RANK.get(b.purpose.key)!);
  return { process, reports, segments };
}

/** Ledgers, the same objects as before where nothing about them has changed, and the same segments where only something else has. */
export function kept(before: readonly GpuLedger[], next: readonly GpuLedger[]): readonly GpuLedger[] {
  const found = next.map((ledger, index) => keptOne(before[index], ledger));
  return found.length === before.length && found.every((ledger, index) => ledger === before[index]) ? before : found;
}

function keptOne(before: GpuLedger | undefined, next: GpuLedger): GpuLedger {
  if (before === undefined) return next;
  if (shared(before, next) === before) return before;
  return { ...next, slices: kept(before.slices, next.slices), segments: shared(before.segments, next.segments) === before.segments ? before.segments : next.segments };
}

/** Sums of segments by purpose, in the fixed order. */
export function byPurpose(segments: readonly Segment[]): Segment[] {
  const sums = new Map<string, Segment>();
  for (const segment of segments) {
    const sum = sums.get(segment.purpose.key);
    const blocks = segment.blocks === null && sum === undefined ? null : (sum?.blocks ?? 0) + (segment.blocks ?? 0);
    sums.set(segment.purpose.key, { ...segment, process: null, bytes: (sum?.bytes ?? 0) + segment.bytes, blocks });
  }
  return [...sums.values()].toSorted((a, b) => RANK.get(a.purpose.key)! - RANK.get(b.purpose.key)!);
}

/** Widths in px that add up to `width`; what is there has 1 px at least, taken from the largest. */
export function pixelWidths(segments: readonly { bytes: number }[], total: number, width: number): number[] {
  if (total <= 0 || segments.length === 0) return segments.map(() => 0);
  const widths = segments.map((segment) => (segment.bytes > 0 ? Math.max(1, (segment.bytes / total) * width) : 0));
  const excess = widths.reduce((sum, one) => sum + one, 0) - width;
  const largest = widths.indexOf(Math.max(...widths));
  if (excess > 0) widths[largest] = Math.max(1, widths[largest]! - excess);
  return widths;
}
