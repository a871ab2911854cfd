/** Blocks summed up: per pixel of a map, by class, and what of them is held without use. Pure. */

import type { Blocks } from "./block_columns";
import { type BlockLayout, firstBehind } from "./block_layout";
import { PURPOSES, RANK } from "./purpose";

/** The class of a pixel without memory. */
export const NOTHING = 255;

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
