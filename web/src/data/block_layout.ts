/** Blocks on rows of round addresses: where each lies, what lies at a place, and the segments they are cut from. Pure. */

import { type Blocks, columnOf, isLivePurpose } from "./block_columns";

export const ROWS_MAX = 64;
/** The finest row of a map that is not zoomed. */
const FINEST_ROW_BYTES = 64 * 1024 ** 2;
/** A row of 2^60 bytes holds whatever there is. */
const DOUBLINGS_MAX = 34;

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
export function firstBehind(layout: BlockLayout, position: number): number {
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
