/** Blocks in columns: gathered from the parts of a table, by owner and address; and all that is told of one. Pure. */

import type { BlockKind, Part, PartStack } from "./columns";
import { PURPOSE_OF, type Purpose, purposeOf, PURPOSES, RANK } from "./purpose";

/** Of an opaque block: the driver tells the bytes, nobody the addresses. */
const NO_ADDRESS = 0;

/** A process and its blocks. */
export interface Owner {
  pid: number;
  name: string;
  /** An allocator tells what is inside. */
  reports: boolean;
  parts: readonly Part[];
}

export interface Opaque {
  owner: Owner;
  bytes: number;
  reason: string | null;
}

/** Columns of blocks: by owner, then by address. */
export interface Blocks {
  owners: readonly Owner[];
  count: number;
  addresses: Float64Array;
  sizes: Float64Array;
  /** Rank of the purpose. */
  purposes: Uint8Array;
  /** Index into `owners`. */
  ownerOf: Uint16Array;
  /** Where the block is: rows of all parts of all owners, one behind the other. */
  rows: Uint32Array;
  /** Blocks without an address, which cannot stand on a map. */
  opaque: readonly Opaque[];
}

/** The processes of a device in a table, in their order there. */
export function ownersOf(parts: readonly Part[], gpuUuid: string, pid: number | null): Owner[] {
  const owners = new Map<string, Owner & { parts: Part[] }>();
  for (const part of parts) {
    const { head } = part;
    if (head.gpu_uuid !== gpuUuid || (pid !== null && head.pid !== pid)) continue;
    const key = `${head.pid}/${head.start_time}`;
    const owner = owners.get(key) ?? { pid: head.pid, name: head.name, reports: false, parts: [] };
    owner.parts.push(part);
    owner.reports ||= head.source !== null;
    owners.set(key, owner);
  }
  return [...owners.values()];
}

/** Puts the blocks of all owners into columns, each owner's by address. */
export function gather(owners: readonly Owner[]): Blocks {
  const most = owners.reduce((sum, owner) => sum + owner.parts.reduce((rows, part) => rows + part.rows, 0), 0);
  const blocks = {
    owners,
    count: 0,
    addresses: new Float64Array(most),
    sizes: new Float64Array(most),
    purposes: new Uint8Array(most),
    ownerOf: new Uint16Array(most),
    rows: new Uint32Array(most),
    opaque: [] as Opaque[],
  };
  let firstRow = 0;
  owners.forEach((owner, index) => {
    const begin = blocks.count;
    for (const part of owner.parts) {
      copyPart(part, owner, index, firstRow, blocks);
      firstRow += part.rows;
    }
    sortByAddress(blocks, begin, blocks.count);
  });
  const { count } = blocks;
  return {
    ...blocks,
    addresses: blocks.addresses.subarray(0, count),
    sizes: blocks.sizes.subarray(0, count),
    purposes: blocks.purposes.subarray(0, count),
    ownerOf: blocks.ownerOf.subarray(0, count),
    rows: blocks.rows.subarray(0, count),
  };
}

function copyPart(part: Part, owner: Owner, index: number, firstRow: number, into: Blocks & { opaque: Opaque[] }): void {
  const [addresses, sizes, purposes] = [part.numbers("address"), part.numbers("size"), purposesOf(part, owner.reports)];
  for (let row = 0; row < part.rows; row++) {
    if (addresses[row] === NO_ADDRESS) {
      into.opaque.push({ owner, bytes: sizes[row]!, reason: part.head.reason });
      continue;
    }
    const at = into.count++;
    into.addresses[at] = addresses[row]!;
    into.sizes[at] = sizes[row]!;
    into.purposes[at] = purposes[row]!;
    into.ownerOf[at] = index;
    into.rows[at] = firstRow + row;
  }
}

/** Rank of the purpose of every block of a part. */
function purposesOf(part: Part, reports: boolean): Uint8Array {
  const ranks = part.head.kinds.map((kind) => RANK.get(purposeOf(kind, reports).key)!);
  const kinds = part.numbers("kind");
  const purposes = new Uint8Array(part.rows);
  for (let row = 0; row < part.rows; row++) purposes[row] = ranks[kinds[row]!]!;
  return purposes;
}

/** Sorts what several allocators, or the pages of an engine, have told: merges runs that are in order already, which they nearly are. */
function sortByAddress(blocks: Blocks, begin: number, end: number): void {
  const { addresses } = blocks;
  const starts = [begin];
  for (let at = begin + 1; at < end; at++) if (addresses[at]! < addresses[at - 1]!) starts.push(at);
  if (starts.length === 1) return;
  let order = Uint32Array.from({ length: end - begin }, (_, index) => begin + index);
  let bounds = [...starts.map((start) => start - begin), end - begin];
  while (bounds.length > 2) {
    const merged = new Uint32Array(order.length);
    const next = [0];
    for (let run = 0; run + 1 < bounds.length; run += 2) {
      const [left, middle] = [bounds[run]!, bounds[run + 1]!];
      const right = bounds[run + 2] ?? middle;
      mergeRuns(order, merged, left, middle, right, addresses);
      next.push(right);
    }
    order = merged;
    bounds = next;
  }
  for (const column of [blocks.addresses, blocks.sizes, blocks.purposes, blocks.rows]) {
    const sorted = column.slice(begin, end);
    order.forEach((from, to) => (sorted[to] = column[from]!));
    column.set(sorted, begin);
  }
}

function mergeRuns(from: Uint32Array, into: Uint32Array, left: number, middle: number, right: number, addresses: Float64Array): void {
  let [a, b] = [left, middle];
  for (let at = left; at < right; at++) {
    const isLeft = b >= right || (a < middle && addresses[from[a]!]! <= addresses[from[b]!]!);
    into[at] = isLeft ? from[a++]! : from[b++]!;
  }
}

/** What is told of one block. Null: not told. */
export interface BlockDetail {
  owner: Owner;
  address: number;
  size: number;
  purpose: Purpose;
  requested: number | null;
  thread: number | null;
  stream: number | null;
  segment: number | null;
  pool: number | null;
  /** Unix seconds. */
  allocatedAt: number | null;
  /** Who told what it is for. */
  knownBy: string | null;
  isLive: boolean;
  stack: PartStack | null;
}

function partOf(blocks: Blocks, index: number): { part: Part; row: number } {
  let row = blocks.rows[index]!;
  for (const part of blocks.owners.flatMap((owner) => owner.parts)) {
    if (row < part.rows) return { part, row };
    row -= part.rows;
  }
  throw new RangeError(`no block ${index}`);
}

export function detailOf(blocks: Blocks, index: number): BlockDetail {
  const { part, row } = partOf(blocks, index);
  const told = (name: "thread" | "stream" | "segment" | "pool" | "allocated_ms" | "stack" | "rounding") => (part.tells(name) ? part.at(name, row) : null);
  const nonZero = (value: number | null) => (value === 0 ? null : value);
  const rounding = told("rounding");
  const kind: BlockKind | undefined = part.head.kinds[part.at("kind", row)];
  const isLive = kind?.allocated ?? false;
  const milliseconds = nonZero(told("allocated_ms"));
  return {
    owner: blocks.owners[blocks.ownerOf[index]!]!,
    address: blocks.addresses[index]!,
    size: blocks.sizes[index]!,
    purpose: PURPOSES[blocks.purposes[index]!]!,
    requested: rounding === null || !isLive ? null : blocks.sizes[index]! - rounding,
    thread: nonZero(told("thread")),
    stream: told("stream"),
    segment: nonZero(told("segment")),
    pool: told("pool"),
    allocatedAt: milliseconds === null ? null : milliseconds / 1000,
    knownBy: kind?.type_source ?? null,
    isLive,
    stack: part.head.stacks[(told("stack") ?? 0) - 1] ?? null,
  };
}

/** A column of all blocks; 0 where it is not told. */
export function columnOf(blocks: Blocks, name: "segment" | "stack" | "allocated_ms"): Float64Array {
  const all = new Float64Array(blocks.owners.reduce((sum, owner) => sum + owner.parts.reduce((rows, part) => rows + part.rows, 0), 0));
  let first = 0;
  for (const part of blocks.owners.flatMap((owner) => owner.parts)) {
    all.set(part.numbers(name), first);
    first += part.rows;
  }
  const column = new Float64Array(blocks.count); // by a loop: `from` with a function takes ten times as long
  for (let index = 0; index < blocks.count; index++) column[index] = all[blocks.rows[index]!]!;
  return column;
}

const LIVE = Uint8Array.from(PURPOSES, (purpose) => (purpose.texture === null ? 1 : 0));

/** Whether blocks of a purpose, by its rank, hold live data. */
export function isLivePurpose(rank: number): boolean {
  return LIVE[rank] === 1;
}

/** The purpose of memory without addresses. */
export function purposeOfOpaque({ owner }: Opaque): Purpose {
  return PURPOSE_OF.get(owner.reports ? "outside" : "opaque")!;
}
