/** Answers of `GET /vram/columns`, as the server packs them (docs/columns.md). */

import type { BlockType } from "../src/data/answers";
import { type BlockKind, decode, type PartHead, type PartStack, type Table } from "../src/data/columns";
import { gather, ownersOf } from "../src/data/block_columns";
import { type BlockLayout, layoutOf } from "../src/data/block_layout";

export const MIB = 1024 ** 2;
export const BASE = 0x7f00_0000_0000;
export const UUID = "GPU-a";
const NUMBERS = { address: "u64", size: "u64", kind: "u16", rounding: "u64", thread: "u32", stack: "u32", segment: "u64", pool: "u8", allocated_ms: "u64" } as const;
type Name = keyof typeof NUMBERS;

export interface Made {
  address: number;
  size: number;
  type?: BlockType;
  subtype?: string;
  isFree?: boolean;
  stack?: number;
  segment?: number;
  allocated_ms?: number;
  rounding?: number;
}

export interface MadePart {
  pid?: number;
  source?: string | null;
  blocks: readonly Made[];
  stacks?: readonly PartStack[];
  same?: boolean;
  /** Addresses as distances, as of an allocator whose blocks are in order. */
  isInOrder?: boolean;
}

function planes(values: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, plane) => values.map((value) => Math.floor(value / 256 ** plane) % 256)).flat();
}

export function answer(parts: readonly MadePart[], more: { version?: string; since?: string | null } = {}): ArrayBuffer {
  const told = parts.filter((part) => part.same !== true);
  const columns = new Map<Name, number[]>(Object.keys(NUMBERS).map((name) => [name as Name, []]));
  const heads = parts.map((part): PartHead => {
    const { blocks } = part;
    const kinds = blocks.map((block): BlockKind => ({ type: block.type ?? "weight", subtype: block.subtype ?? null, type_source: "tensor", allocated: !block.isFree, utilized: !block.isFree }));
    const names = [...new Set(kinds.map((kind) => JSON.stringify(kind)))];
    const optional = (["rounding", "stack", "segment", "allocated_ms"] as const).filter((name) => blocks.some((block) => block[name] !== undefined));
    if (part.same !== true) {
      blocks.forEach((block, index) => {
        const before = blocks[index - 1];
        const distance = before === undefined ? 0 : block.address - before.address - before.size;
        const row = { address: part.isInOrder ? distance : block.address, size: block.size, kind: names.indexOf(JSON.stringify(kinds[index])) };
        for (const [name, values] of columns) values.push((row as Partial<Record<Name, number>>)[name] ?? (block as unknown as Partial<Record<Name, number>>)[name] ?? 0);
      });
    }
    return {
      gpu: 0,
      gpu_uuid: UUID,
      pid: part.pid ?? 1,
      name: "python",
      start_time: 1000,
      source: part.source === undefined ? "pytorch" : part.source,
      rows: blocks.length,
      same: part.same ?? false,
      columns: part.same ? [] : ["address", "size", "kind", ...optional],
      first_address: part.isInOrder && !part.same ? (blocks[0]?.address ?? 0) : null,
      kinds: part.same ? [] : names.map((name) => JSON.parse(name) as BlockKind),
      stacks: part.same ? [] : (part.stacks ?? []),
      reason: null,
    };
  });
  const rows = told.reduce((sum, part) => sum + part.blocks.length, 0);
  const named = [...columns].map(([name, values]) => ({ name, type: NUMBERS[name], bytes: NUMBERS[name] === "u8" ? 1 : Math.ceil(Math.log2(Math.max(1, ...values) + 1) / 8), values }));
  const head = {
    seq: 1,
    timestamp: "2026-11-30T01:00:00Z",
    simulated: true,
    version: more.version ?? "v1",
    since: more.since ?? null,
    rows,
    rows_omitted: 0,
    columns: named.map(({ values: _, ...column }) => column),
    parts: heads,
  };
  const text = new TextEncoder().encode(JSON.stringify(head));
  const body = named.flatMap(({ values, bytes }) => planes(values, bytes));
  const all = new Uint8Array(8 + text.length + body.length);
  all.set(new TextEncoder().encode("BBC2"));
  new DataView(all.buffer).setUint32(4, text.length, true);
  all.set(text, 8);
  all.set(body, 8 + text.length);
  return all.buffer;
}

export function table(...parts: MadePart[]): Table {
  return decode(answer(parts), null);
}

export function laidOut(parts: readonly MadePart[], rowBytes: number): BlockLayout {
  return layoutOf(gather(ownersOf(table(...parts).parts, UUID, null)), rowBytes);
}

/** A block at so many bytes from the first address. */
export function block(start: number, size: number, more: Partial<Made> = {}): Made {
  return { address: BASE + start, size, ...more };
}

/** What an allocator holds without use. */
export const FREE = { type: "other", isFree: true } as const;

/** Blocks without gaps, of sizes that look random and are the same each time. */
export function many(count: number, seed: number): Made[] {
  let at = 0;
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const size = 512 * (1 + (state % 4000));
    const made = block(at, size, state % 3 === 0 ? FREE : { type: state % 2 === 0 ? "weight" : "activation" });
    at += size;
    return made;
  });
}
