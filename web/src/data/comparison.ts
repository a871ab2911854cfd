/** Rows of a comparison: by process, by purpose, by stack. Pure. */

import type { Comparison, ProcessChange } from "./answers";
import { type Purpose, PURPOSE_OF, purposeOfType, RANK } from "./purpose";

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

interface Changed {
  purpose: Purpose;
  before_bytes: number;
  after_bytes: number;
  delta_bytes: number;
}

/** What a process holds more or less of, by purpose: what is in use and what is free in its cache told apart where its allocator tells. */
function purposesOf(process: ProcessChange): Changed[] {
  const known = process.purposes.flatMap((one) => {
    const purpose = PURPOSE_OF.get(one.purpose);
    return purpose === undefined ? [] : [{ ...one, purpose }];
  });
  return known.length > 0 ? known : process.types.map((type) => ({ ...type, purpose: purposeOfType(type.type, type.subtype, false) }));
}

/** By purpose over all processes, the largest change first. */
export function purposeChanges(comparison: Comparison): PurposeChange[] {
  const sums = new Map<string, PurposeChange>();
  for (const one of comparison.processes.flatMap(purposesOf)) {
    const sum = sums.get(one.purpose.key) ?? { purpose: one.purpose, before: 0, after: 0, delta: 0 };
    sums.set(one.purpose.key, { purpose: one.purpose, before: sum.before + one.before_bytes, after: sum.after + one.after_bytes, delta: sum.delta + one.delta_bytes });
  }
  return [...sums.values()].toSorted((a, b) => Math.abs(b.delta) - Math.abs(a.delta) || RANK.get(a.purpose.key)! - RANK.get(b.purpose.key)!);
}

/** By stack where stacks are told, by purpose alone where they are not; the largest change first. */
export function stackChanges(comparison: Comparison): StackChangeRow[] {
  return comparison.processes.flatMap(rowsOf).toSorted((a, b) => Math.abs(b.delta) - Math.abs(a.delta));
}

function rowsOf(process: ProcessChange): StackChangeRow[] {
  const stacks = process.stacks.map((stack) => row(process, { ...stack, purpose: purposeOfType(stack.type, stack.subtype) }, stack.frames, null));
  const covered = new Set(stacks.map((one) => one.purpose.key));
  const rest = purposesOf(process)
    .filter((one) => !covered.has(one.purpose.key))
    .map((one) => row(process, one, [], NOTES.get(one.purpose.key) ?? process.unknown["stacks"] ?? "no stack was told"));
  return [...stacks, ...rest];
}

/** What has no stack by its nature. */
const NOTES: ReadonlyMap<string, string> = new Map([
  ["cached", "its allocator holds it without using it"],
  ["kv_cached", "pages kept for a prefix that may come again"],
  ["outside", "the driver's own for this process: context, libraries"],
]);

function row(process: ProcessChange, changed: Changed, frames: readonly string[], note: string | null): StackChangeRow {
  const { purpose, before_bytes: before, after_bytes: after, delta_bytes: delta } = changed;
  const word = before === 0 ? "NEW" : after === 0 ? "GONE" : delta > 0 ? "GREW" : "SHRANK";
  return { key: `${process.pid}/${process.gpu_uuid}/${purpose.key}/${frames.join("\n")}`, process, purpose, frames, before, after, delta, word, note };
}
