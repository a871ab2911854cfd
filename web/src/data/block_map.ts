/** The blocks of one process by address: laid out on rows, summed up per pixel, found under a pointer. Pure. */

import type { Block } from "./answers";
import { type Purpose, PURPOSES, purposeOf, RANK } from "./purpose";

/** Of an opaque block: the driver tells the bytes, nobody the addresses. */
const NO_ADDRESS = 0;
const ROWS_MAX = 50;
/** The finest row of a map that is not zoomed. */
const FINEST_ROW_BYTES = 64 * 1024 ** 2;
export const NOTHING = 255;

export interface Range {
  address: number;
  position: number;
  size: number;
}

/** Columns of blocks in address order; `position` counts from the first, without the ranges that hold nothing. */
export interface BlockLayout {
  blocks: readonly Block[];
  positions: Float64Array;
  sizes: Float64Array;
  /** Rank of the purpose. */
  purposes: Uint8Array;
  ranges: readonly Range[];
  end: number;
  /** Blocks without an address, which cannot stand on a map. */
  opaque: readonly Block[];
}

/** Bytes of one row: a power of two, so that rows begin at round addresses, and everything fits on the most rows. */
export function rowBytesFor(blocks: readonly Block[]): number {
  for (let rowBytes = FINEST_ROW_BYTES; ; rowBytes *= 2) {
    if (layoutOf(blocks, rowBytes, true).end <= rowBytes * ROWS_MAX) return rowBytes;
  }
}

/** Lays blocks out. A gap of more than a row is cut: what follows begins a new row. */
export function layoutOf(blocks: readonly Block[], rowBytes: number, reports: boolean): BlockLayout {
  const placed = blocks.filter((block) => block.address !== NO_ADDRESS).toSorted((a, b) => a.address - b.address);
  const positions = new Float64Array(placed.length);
  const sizes = new Float64Array(placed.length);
  const purposes = new Uint8Array(placed.length);
  const ranges: { address: number; position: number; size: number }[] = [];
  let end = 0;
  placed.forEach((block, index) => {
    const range = ranges.at(-1);
    if (range === undefined || block.address - (range.address + range.size) > rowBytes) {
      ranges.push({ address: block.address, position: Math.ceil(end / rowBytes) * rowBytes, size: 0 });
    }
    const current = ranges.at(-1)!;
    positions[index] = current.position + (block.address - current.address);
    sizes[index] = block.size;
    purposes[index] = RANK.get(purposeOf(block, reports).key)!;
    current.size = Math.max(current.size, block.address + block.size - current.address);
    end = current.position + current.size;
  });
  return { blocks: placed, positions, sizes, purposes, ranges, end, opaque: blocks.filter((block) => block.address === NO_ADDRESS) };
}

/** The first block that ends behind a position. */
function firstBehind(layout: BlockLayout, position: number): number {
  let low = 0;
  let high = layout.positions.length;
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
  return index < layout.positions.length && layout.positions[index]! <= position ? index : null;
}

/** The address at a position; null where no range is. */
export function addressAt(layout: BlockLayout, position: number): number | null {
  const range = layout.ranges.findLast((one) => one.position <= position);
  if (range === undefined || position >= range.position + range.size) return null;
  return range.address + (position - range.position);
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

/** Classes of blocks: by default their purpose; a view may colour by something else. Texture classes are not live. */
export interface Classing {
  of: (index: number) => number;
  isLive: (code: number) => boolean;
  count: number;
}

export function byPurposeClassing(layout: BlockLayout): Classing {
  return {
    of: (index) => layout.purposes[index]!,
    isLive: (code) => PURPOSES[code]!.texture === null || PURPOSES[code]!.key === "kv_cached",
    count: PURPOSES.length,
  };
}

/** Sums up `count` pixels from a position on. One pass over the blocks that lie there. */
export function summarize(layout: BlockLayout, from: number, bytesPerPixel: number, count: number, classing: Classing): Pixels {
  const classes = new Uint8Array(count).fill(NOTHING);
  const shares = new Float32Array(count);
  const edges = new Uint8Array(count);
  const sums = new Float64Array(classing.count);
  const to = from + bytesPerPixel * count;
  let current = -1;
  let hidden = 0;

  const flush = () => {
    if (current < 0) return;
    let best = NOTHING;
    let live = 0;
    for (let code = 0; code < sums.length; code++) {
      const sum = sums[code]!;
      if (sum === 0) continue;
      if (classing.isLive(code)) live += sum;
      if (best === NOTHING || outranks(classing, code, sum, best, sums[best]!)) best = code;
    }
    classes[current] = best;
    shares[current] = live / bytesPerPixel;
    sums.fill(0);
    current = -1;
  };

  for (let index = firstBehind(layout, from); index < layout.positions.length; index++) {
    const start = layout.positions[index]!;
    if (start >= to) break;
    const size = layout.sizes[index]!;
    const code = classing.of(index);
    const [left, right] = [Math.max(start, from) - from, Math.min(start + size, to) - from];
    const [first, last] = [Math.floor(left / bytesPerPixel), Math.min(count - 1, Math.floor((right - 1) / bytesPerPixel))];
    if (size < bytesPerPixel) hidden++;
    if (size >= bytesPerPixel * EDGE_PX && start >= from) edges[first] = 1;
    for (const pixel of first === last ? [first] : [first, last]) {
      if (pixel !== current) flush();
      current = pixel;
      const begin = Math.max(left, pixel * bytesPerPixel);
      sums[code]! += Math.min(right, (pixel + 1) * bytesPerPixel) - begin;
    }
    if (last - first > 1) {
      classes.fill(code, first + 1, last);
      if (classing.isLive(code)) shares.fill(1, first + 1, last);
    }
  }
  flush();
  return { classes, shares, edges, hidden };
}

function outranks(classing: Classing, code: number, sum: number, best: number, bestSum: number): boolean {
  const [live, bestLive] = [classing.isLive(code), classing.isLive(best)];
  return live === bestLive ? sum > bestSum : live;
}

/** Strength of a colour by the share of its pixel that is live, in four steps. */
export function strengthOf(share: number): number {
  return share > 0.875 ? 1 : share > 0.6 ? 0.78 : share > 0.3 ? 0.55 : 0.3;
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
  layout.purposes.forEach((purpose, index) => {
    if (purpose !== cached) return;
    const size = layout.sizes[index]!;
    bytes += size;
    pieces++;
    if (largest === null || size > largest.bytes) largest = { index, bytes: size };
  });
  return { bytes, pieces, largest };
}

export interface Sum {
  purpose: Purpose;
  bytes: number;
  blocks: number;
}

export function sumsOf(layout: BlockLayout, reports: boolean): Sum[] {
  const sums = PURPOSES.map((purpose) => ({ purpose: purpose as Purpose, bytes: 0, blocks: 0 }));
  layout.purposes.forEach((purpose, index) => {
    sums[purpose]!.bytes += layout.sizes[index]!;
    sums[purpose]!.blocks++;
  });
  for (const block of layout.opaque) sums[RANK.get(purposeOf(block, reports).key)!]!.bytes += block.size;
  return sums.filter((sum) => sum.bytes > 0);
}
