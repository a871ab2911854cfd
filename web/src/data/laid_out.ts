/** Blocks of one GPU on their rows, kept for as long as the parts they are made of are the same; many are laid out ahead of the view, in steps. */

import { gather, type Owner, ownersOf } from "./block_columns";
import { type BlockLayout, layoutOf, rowBytesFor, type Segment, segmentsOf } from "./block_layout";
import type { Part } from "./columns";

export interface LaidOut {
  owners: readonly Owner[];
  layout: BlockLayout;
  segments: readonly Segment[];
}

let last: LaidOut | null = null;

/** The blocks of a GPU, or of one process on it: those at hand where no part is another, else laid out at once. */
export function laidOut(parts: readonly Part[], gpuUuid: string, pid: number | null): LaidOut {
  const owners = ownersOf(parts, gpuUuid, pid);
  if (!isAtHand(owners)) for (const _ of steps(owners));
  return last!;
}

/** Lays them out with a pause after each step, so that no step holds up what the reader does meanwhile. */
export async function layOutAhead(parts: readonly Part[], gpuUuid: string, pid: number | null, pause: () => Promise<unknown>): Promise<void> {
  const owners = ownersOf(parts, gpuUuid, pid);
  if (!isAtHand(owners)) for (const _ of steps(owners)) await pause();
}

/** What is shown stays at hand until the last step. */
function* steps(owners: readonly Owner[]): Generator<void> {
  const gathered = gather(owners);
  yield;
  const layout = layoutOf(gathered, rowBytesFor(gathered));
  yield;
  last = { owners, layout, segments: segmentsOf(layout) };
}

function isAtHand(owners: readonly Owner[]): boolean {
  return last !== null && owners.length === last.owners.length && owners.every((owner, index) => isSame(owner, last!.owners[index]!));
}

function isSame(a: Owner, b: Owner): boolean {
  return a.pid === b.pid && a.parts.length === b.parts.length && a.parts.every((part, index) => part === b.parts[index]);
}
