/** Who holds what from where: rows by stack, what has none, and the tree of callers. Pure. */

import type { Comparison, Process, Snapshot, Stack } from "./answers";
import { type ProcessLedger, processLabel } from "./ledger";
import { type Purpose, purposeOfType } from "./purpose";

export interface StackRow {
  key: string;
  process: Process;
  /** Innermost first; empty where none is known. */
  frames: readonly string[];
  /** Why there is no stack; null where there is one. */
  reason: string | null;
  purposes: readonly { purpose: Purpose; bytes: number }[];
  bytes: number;
  blocks: number | null;
  /** Since the time compared with; null where nobody can tell. */
  change: number | null;
}

const NO_HISTORY = "no history of its allocator was recorded";
const NO_ALLOCATOR = "nothing looks into this process";
/** Live bytes of a process that its stacks do not tell, below which they are rounding. */
const REST_BYTES_MIN = 1024 * 1024;

/** Rows of a snapshot with stacks, the largest first. What no stack explains is a row of its own, with its reason. */
export function stackRows(snapshot: Snapshot, ledgers: readonly ProcessLedger[], before: Comparison | null): StackRow[] {
  const rows = ledgers.flatMap((ledger) => {
    const { process, reports } = ledger;
    const own = (snapshot.stacks ?? []).filter((stack) => stack.pid === process.pid && stack.gpu === process.gpu && stack.frames.length > 0);
    const told = own.map((stack) => rowOf(stack, process, before));
    const live = ledger.segments.filter((segment) => isLive(segment.purpose, reports));
    const bytes = live.reduce((sum, segment) => sum + segment.bytes, 0) - told.reduce((sum, row) => sum + row.bytes, 0);
    if (bytes < REST_BYTES_MIN) return told;
    const blocks = live.every((segment) => segment.blocks !== null) && told.length === 0 && reports ? live.reduce((sum, segment) => sum + (segment.blocks ?? 0), 0) : null;
    const purposes = told.length === 0 ? live.map(({ purpose, bytes: size }) => ({ purpose, bytes: size })) : [{ purpose: purposeOfType("other", null), bytes }];
    return [...told, { key: `${process.pid}/${process.gpu_uuid}/rest`, process, frames: [], reason: reports ? NO_HISTORY : NO_ALLOCATOR, purposes, bytes, blocks, change: null }];
  });
  return rows.toSorted((a, b) => b.bytes - a.bytes);
}

function isLive(purpose: Purpose, reports: boolean): boolean {
  return reports ? purpose.texture === null || purpose.key === "kv_cached" : purpose.key === "opaque";
}

function rowOf(stack: Stack, process: Process, before: Comparison | null): StackRow {
  const purpose = purposeOfType(stack.type, stack.subtype);
  return {
    key: `${process.pid}/${process.gpu_uuid}/${stack.type}/${stack.subtype ?? ""}/${stack.frames.join("\n")}`,
    process,
    frames: stack.frames,
    reason: null,
    purposes: [{ purpose, bytes: stack.allocated_bytes }],
    bytes: stack.allocated_bytes,
    blocks: stack.blocks ?? null,
    change: before === null ? null : changeOf(stack, process, before),
  };
}

/** The change of a stack; 0 where its process did not change, or told its stacks and this one is not among them. */
function changeOf(stack: Stack, process: Process, before: Comparison): number | null {
  const changed = before.processes.find((one) => one.pid === process.pid && one.gpu_uuid === process.gpu_uuid);
  if (changed === undefined) return 0;
  if ("stacks" in changed.unknown) return null;
  const frames = stack.frames.join("\n");
  return changed.stacks.find((one) => one.type === stack.type && one.frames.join("\n") === frames)?.delta_bytes ?? 0;
}

export function matchesRow(row: StackRow, filter: string): boolean {
  const text = [...row.frames, processLabel(row.process), row.process.user, ...row.purposes.map((one) => one.purpose.name)].join(" ").toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export interface Node {
  name: string;
  bytes: number;
  depth: number;
  /** Share of all bytes at which it begins. */
  start: number;
  /** Of the last frame of a stack; null for its callers. */
  purpose: Purpose | null;
  reason: string | null;
  /** The row whose last frame this is. */
  row: string | null;
}

interface Branch {
  name: string;
  bytes: number;
  children: Map<string, Branch>;
  row: StackRow | null;
}

/** The icicle of rows: processes on top, then the outermost caller down to the line that allocated. */
export function icicle(rows: readonly StackRow[]): Node[] {
  const roots = new Map<string, Branch>();
  for (const row of rows) {
    const names = row.frames.length > 0 ? row.frames.toReversed() : [`n/a: ${row.reason}`];
    let level = roots;
    for (const [index, name] of [processLabel(row.process), ...names].entries()) {
      const isLast = index === names.length;
      const key = isLast ? `${name}\n${row.key}` : name;
      const branch = level.get(key) ?? { name, bytes: 0, children: new Map<string, Branch>(), row: isLast ? row : null };
      branch.bytes += row.bytes;
      level.set(key, branch);
      level = branch.children;
    }
  }
  const total = [...roots.values()].reduce((sum, root) => sum + root.bytes, 0);
  const nodes: Node[] = [];
  const walk = (branches: Iterable<Branch>, depth: number, from: number) => {
    let start = from;
    for (const branch of [...branches].toSorted((a, b) => b.bytes - a.bytes)) {
      const purpose = branch.row === null || branch.row.reason !== null ? null : branch.row.purposes[0]!.purpose;
      nodes.push({ name: branch.name, bytes: branch.bytes, depth, start: start / Math.max(1, total), purpose, reason: branch.row?.reason ?? null, row: branch.row?.key ?? null });
      walk(branch.children.values(), depth + 1, start);
      start += branch.bytes;
    }
  };
  walk(roots.values(), 0, 0);
  return nodes;
}

/** Rows in the format that flame graph tools read: frames from the outermost on, and bytes. */
export function folded(rows: readonly StackRow[]): string {
  return rows.map((row) => `${[processLabel(row.process), ...(row.frames.length > 0 ? row.frames.toReversed() : [row.reason ?? ""])].join(";")} ${row.bytes}`).join("\n");
}
