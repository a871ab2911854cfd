/** Blocks by address: gathered from columns, laid out on rows, summed up per pixel, found under a pointer. Pure. */

import { ALLOCATED, type Part, type PartStack, UTILIZED } from "./columns";
import { PURPOSE_OF, type Purpose, purposeOf, PURPOSES, RANK } from "./purpose";

/** Of an opaque block: the driver tells the bytes, nobody the addresses. */
const NO_ADDRESS = 0;
export const ROWS_MAX = 64;
/** The finest row of a map that is not zoomed. */
const FINEST_ROW_BYTES = 64 * 1024 ** 2;
/** A row of 2^60 bytes holds whatever there is. */
const DOUBLINGS_MAX = 34;
const LABELS_MAX = 256;
const STATES = 4;
export const NOTHING = 255;

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

export interface Range {
  owner: number;
  address: number;
  position: number;
  size: number;
}

/** `positions` count from the first block, without the ranges that hold nothing. */
export interface BlockLayout extends Blocks {
  positions: Float64Array;
  ranges: readonly Range[];
  rowBytes: number;
  end: number;
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

/** Rank of the purpose of every block of a part; worked out once for each kind of block there is. */
function purposesOf(part: Part, reports: boolean): Uint8Array {
  const [types, labels, states] = [part.numbers("type"), part.numbers("label"), part.numbers("state")];
  const ranks = new Uint8Array(part.types.length * LABELS_MAX * STATES).fill(NOTHING);
  const purposes = new Uint8Array(part.rows);
  for (let row = 0; row < part.rows; row++) {
    const kind = (types[row]! * LABELS_MAX + labels[row]!) * STATES + (states[row]! & (STATES - 1));
    if (ranks[kind] === NOTHING) {
      const use = { type: part.types[types[row]!] ?? "other", subtype: part.head.labels[labels[row]!]?.[0], allocated: (states[row]! & ALLOCATED) !== 0, utilized: (states[row]! & UTILIZED) !== 0 } as const;
      ranks[kind] = RANK.get(purposeOf(use, reports).key)!;
    }
    purposes[row] = ranks[kind]!;
  }
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

/** Bytes of one row: a power of two, so that rows begin at round addresses, and everything fits on the most rows. */
export function rowBytesFor(blocks: Blocks): number {
  const pieces = rangesOf(blocks, FINEST_ROW_BYTES).ranges;
  let rowBytes = FINEST_ROW_BYTES;
  for (let doubling = 0; doubling < DOUBLINGS_MAX; doubling++, rowBytes *= 2) {
    let [end, position, last] = [0, 0, null as Range | null];
    for (const piece of pieces) {
      if (last === null || last.owner !== piece.owner || piece.address - (last.address + last.size) > rowBytes) position = Math.ceil(end / rowBytes) * rowBytes;
      else position = end + piece.address - (last.address + last.size);
      end = position + piece.size;
      last = piece;
    }
    if (end <= rowBytes * Math.max(ROWS_MAX, blocks.owners.length)) break;
  }
  return rowBytes;
}

/** The smallest row with which so many bytes fit on the most rows. */
export function rowBytesOf(size: number): number {
  return 2 ** Math.max(16, Math.ceil(Math.log2(Math.max(1, size) / ROWS_MAX)));
}

/** Lays blocks out. A gap of more than a row is cut: what follows begins a new row, as does another owner. */
export function layoutOf(blocks: Blocks, rowBytes: number): BlockLayout {
  return { ...blocks, ...rangesOf(blocks, rowBytes), rowBytes };
}

function rangesOf(blocks: Blocks, rowBytes: number): { positions: Float64Array; ranges: Range[]; end: number } {
  const { addresses, sizes, ownerOf, count } = blocks;
  const positions = new Float64Array(count);
  const ranges: Range[] = [];
  let current: Range | null = null;
  let end = 0;
  for (let index = 0; index < count; index++) {
    const address = addresses[index]!;
    if (current === null || current.owner !== ownerOf[index] || address - (current.address + current.size) > rowBytes) {
      current = { owner: ownerOf[index]!, address, position: Math.ceil(end / rowBytes) * rowBytes, size: 0 };
      ranges.push(current);
    }
    positions[index] = current.position + (address - current.address);
    current.size = Math.max(current.size, address + sizes[index]! - current.address);
    end = current.position + current.size;
  }
  return { positions, ranges, end };
}

/** The first block that ends behind a position. */
function firstBehind(layout: BlockLayout, position: number): number {
  let low = 0;
  let high = layout.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (layout.positions[middle]! + layout.sizes[middle]! > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Index of the block at a position; null in a gap. */
export function blockAt(layout: BlockLayout, position: number): number | null {
  const index = firstBehind(layout, position);
  return index < layout.count && layout.positions[index]! <= position ? index : null;
}

/** The address at a position; null where no range is. */
export function addressAt(layout: BlockLayout, position: number): number | null {
  const range = layout.ranges.findLast((one) => one.position <= position);
  if (range === undefined || position >= range.position + range.size) return null;
  return range.address + (position - range.position);
}

/** The position of an address; null where no range has it. */
export function positionAt(layout: BlockLayout, address: number): number | null {
  const range = layout.ranges.find((one) => one.address <= address && address < one.address + one.size);
  return range === undefined ? null : range.position + (address - range.address);
}

/** The block that begins at an address, of any owner or of one; -1 where none does. */
export function indexOf(layout: BlockLayout, address: number, pid: number | null): number {
  for (let index = layout.addresses.indexOf(address); index !== -1; index = layout.addresses.indexOf(address, index + 1)) {
    if (pid === null || layout.owners[layout.ownerOf[index]!]!.pid === pid) return index;
  }
  return -1;
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
  const told = (name: "thread" | "stream" | "segment" | "pool" | "allocated_ms" | "stack" | "rounding" | "state") => (part.tells(name) ? part.numbers(name)[row]! : null);
  const nonZero = (value: number | null) => (value === 0 ? null : value);
  const rounding = told("rounding");
  const isLive = ((told("state") ?? 0) & ALLOCATED) !== 0;
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
    knownBy: part.head.labels[part.numbers("label")[row]!]?.[1] ?? null,
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

/** What the driver gave in one piece, and blocks are cut from. */
export interface Segment {
  owner: number;
  address: number;
  position: number;
  size: number;
  blocks: number;
  /** Bytes of it in use. */
  live: number;
}

/** Segments by address; none where no allocator tells them. */
export function segmentsOf(layout: BlockLayout): Segment[] {
  const column = columnOf(layout, "segment");
  const segments: Segment[] = [];
  let current: Segment | null = null;
  for (let index = 0; index < layout.count; index++) {
    const address = column[index]!;
    if (address === 0) {
      current = null;
      continue;
    }
    if (current === null || current.address !== address || current.owner !== layout.ownerOf[index]) {
      current = { owner: layout.ownerOf[index]!, address, position: layout.positions[index]! - (layout.addresses[index]! - address), size: 0, blocks: 0, live: 0 };
      segments.push(current);
    }
    current.blocks++;
    current.size = layout.addresses[index]! + layout.sizes[index]! - address;
    if (isLivePurpose(layout.purposes[index]!)) current.live += layout.sizes[index]!;
  }
  return segments;
}

const LIVE = Uint8Array.from(PURPOSES, (purpose) => (purpose.texture === null ? 1 : 0));

/** Whether blocks of a purpose, by its rank, hold live data. */
export function isLivePurpose(rank: number): boolean {
  return LIVE[rank] === 1;
}

export interface Pixels {
  /** Class with the most live bytes in the pixel; without live bytes, the one with the most bytes; else `NOTHING`. */
  classes: Uint8Array;
  /** Share of the pixel that is live. */
  shares: Float32Array;
  /** A block of at least 4 px begins here. */
  edges: Uint8Array;
  /** Blocks that are smaller than a pixel. */
  hidden: number;
}

const EDGE_PX = 4;

/** Classes of blocks: their purpose, or what else a view colours by. */
export interface Classing {
  codes: Uint8Array;
  /** By code: 1 where such blocks are held for somebody, 0 where they are free to use. */
  live: Uint8Array;
}

const HELD = Uint8Array.from(PURPOSES, (purpose) => (purpose.texture === null || purpose.key === "kv_cached" ? 1 : 0));

export function byPurposeClassing(blocks: Blocks): Classing {
  return { codes: blocks.purposes, live: HELD };
}

/** Sums up `count` pixels from a position on. One pass over the blocks that lie there. */
export function summarize(layout: BlockLayout, from: number, bytesPerPixel: number, count: number, { codes, live }: Classing): Pixels {
  const classes = new Uint8Array(count).fill(NOTHING);
  const shares = new Float32Array(count);
  const edges = new Uint8Array(count);
  const sums = new Float64Array(live.length);
  /** Codes that are in `sums`, so that only they are looked at and cleared. */
  const present = new Uint8Array(live.length);
  let presentCount = 0;
  const to = from + bytesPerPixel * count;
  let current = -1;
  let hidden = 0;

  const flush = () => {
    if (current < 0) return;
    let best = NOTHING;
    let liveBytes = 0;
    for (let place = 0; place < presentCount; place++) {
      const code = present[place]!;
      const sum = sums[code]!;
      if (live[code] === 1) liveBytes += sum;
      if (best === NOTHING || (live[code] === live[best] ? sum > sums[best]! || (sum === sums[best]! && code < best) : live[code] === 1)) best = code;
    }
    for (let place = 0; place < presentCount; place++) sums[present[place]!] = 0;
    presentCount = 0;
    classes[current] = best;
    shares[current] = liveBytes / bytesPerPixel;
    current = -1;
  };
  const add = (pixel: number, code: number, bytes: number) => {
    if (pixel !== current) flush();
    current = pixel;
    if (bytes <= 0) return;
    if (sums[code] === 0) present[presentCount++] = code;
    sums[code]! += bytes;
  };

  for (let index = firstBehind(layout, from); index < layout.count; index++) {
    const start = layout.positions[index]!;
    if (start >= to) break;
    const size = layout.sizes[index]!;
    const code = codes[index]!;
    const left = Math.max(start, from) - from;
    const right = Math.min(start + size, to) - from;
    const first = Math.floor(left / bytesPerPixel);
    const last = Math.min(count - 1, Math.floor((right - 1) / bytesPerPixel));
    if (size < bytesPerPixel) hidden++;
    if (size >= bytesPerPixel * EDGE_PX && start >= from) edges[first] = 1;
    add(first, code, Math.min(right, (first + 1) * bytesPerPixel) - left);
    if (last === first) continue;
    if (last - first > 1) {
      classes.fill(code, first + 1, last);
      if (live[code] === 1) shares.fill(1, first + 1, last);
    }
    add(last, code, right - last * bytesPerPixel);
  }
  flush();
  return { classes, shares, edges, hidden };
}

/** Strengths of a colour. */
export const STRENGTHS = [0.3, 0.55, 0.78, 1] as const;

/** Which of the four, by the share of its pixel that is live. */
export function strengthStep(share: number): 0 | 1 | 2 | 3 {
  return share > 0.875 ? 3 : share > 0.6 ? 2 : share > 0.3 ? 1 : 0;
}

export interface Hole {
  index: number;
  bytes: number;
}

export interface Holes {
  bytes: number;
  pieces: number;
  largest: Hole | null;
}

/** What the allocator holds without use: how much, in how many pieces, and the largest. */
export function holesOf(layout: BlockLayout): Holes {
  const cached = RANK.get("cached")!;
  let [bytes, pieces] = [0, 0];
  let largest: Hole | null = null;
  for (let index = 0; index < layout.count; index++) {
    if (layout.purposes[index] !== cached) continue;
    const size = layout.sizes[index]!;
    bytes += size;
    pieces++;
    if (largest === null || size > largest.bytes) largest = { index, bytes: size };
  }
  return { bytes, pieces, largest };
}

export interface Sum {
  bytes: number;
  blocks: number;
}

/** Bytes and blocks of every class, by code. */
export function sumsOf(blocks: Blocks, { codes, live }: Classing): Sum[] {
  const sums = Array.from(live, () => ({ bytes: 0, blocks: 0 }));
  for (let index = 0; index < blocks.count; index++) {
    const sum = sums[codes[index]!]!;
    sum.bytes += blocks.sizes[index]!;
    sum.blocks++;
  }
  return sums;
}

/** The purpose of memory without addresses. */
export function purposeOfOpaque({ owner }: Opaque): Purpose {
  return PURPOSE_OF.get(owner.reports ? "outside" : "opaque")!;
}
