/** Rows of a comparison: by process, by purpose, by stack. Pure. */

import type { Comparison, ProcessChange } from "./answers";
import { type Purpose, purposeOfType, RANK } from "./purpose";

export interface PurposeChange {
  purpose: Purpose;
  before: number;
  after: number;
  delta: number;
}

export interface StackChangeRow {
  key: string;
  process: ProcessChange;
  purpose: Purpose;
  frames: readonly string[];
  before: number;
  after: number;
  delta: number;
  word: "NEW" | "GONE" | "GREW" | "SHRANK";
  /** What stands in place of frames that nobody told. */
  note: string | null;
}

/** By purpose over all processes, the largest change first. What an allocator holds without use may be among "other". */
export function purposeChanges(comparison: Comparison): PurposeChange[] {
  const sums = new Map<string, PurposeChange>();
  for (const type of comparison.processes.flatMap((process) => process.types)) {
    const purpose = purposeOfType(type.type, type.subtype);
    const sum = sums.get(purpose.key) ?? { purpose, before: 0, after: 0, delta: 0 };
    sums.set(purpose.key, { purpose, before: sum.before + type.before_bytes, after: sum.after + type.after_bytes, delta: sum.delta + type.delta_bytes });
  }
  return [...sums.values()].toSorted((a, b) => Math.abs(b.delta) - Math.abs(a.delta) || RANK.get(a.purpose.key)! - RANK.get(b.purpose.key)!);
}

/** By stack where stacks are told, by purpose alone where they are not; the largest change first. */
export function stackChanges(comparison: Comparison): StackChangeRow[] {
  return comparison.processes.flatMap(rowsOf).toSorted((a, b) => Math.abs(b.delta) - Math.abs(a.delta));
}

function rowsOf(process: ProcessChange): StackChangeRow[] {
  const stacks = process.stacks.map((stack) => row(process, stack, stack.frames, null));
  const covered = new Set(stacks.map((one) => one.purpose.key));
  const reason = process.unknown["stacks"];
  const rest = process.types
    .map((type) => row(process, type, [], reason ?? (type.type === "other" && type.subtype === null ? "held by its allocator, in use or free" : "no stack was told")))
    .filter((one) => !covered.has(one.purpose.key));
  return [...stacks, ...rest];
}

type Changed = { type: ProcessChange["types"][number]["type"]; subtype: string | null; before_bytes: number; after_bytes: number; delta_bytes: number };

function row(process: ProcessChange, changed: Changed, frames: readonly string[], note: string | null): StackChangeRow {
  const { before_bytes: before, after_bytes: after, delta_bytes: delta } = changed;
  const word = before === 0 ? "NEW" : after === 0 ? "GONE" : delta > 0 ? "GREW" : "SHRANK";
  const purpose = purposeOfType(changed.type, changed.subtype);
  return { key: `${process.pid}/${process.gpu_uuid}/${purpose.key}/${frames.join("\n")}`, process, purpose, frames, before, after, delta, word, note: frames.length > 0 ? null : note };
}
