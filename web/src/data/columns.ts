/** Blocks as packed columns, as `GET /vram/columns` answers (docs/columns.md): read where they lie, a column when it is asked for. Pure. */

import type { BlockType } from "./answers";

const MAGIC = "BBC2";
const PREFIX_BYTES = 8;
const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, u64: Float64Array } as const;
/** Types of columns that nobody adds to: where a byte is enough, its plane is the column. */
const BYTES_OF_ONE: ReadonlySet<string> = new Set(["u8", "u16"]);
/** Numbers above 2^53, which only the ids of streams may reach, are rounded. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;
export type ColumnName = "address" | "size" | "kind" | "rounding" | "thread" | "stream" | "stack" | "segment" | "pool" | "allocated_ms";

/** What blocks of a part have in common. */
export interface BlockKind {
  type: BlockType;
  subtype: string | null;
  type_source: string | null;
  allocated: boolean;
  utilized: boolean;
}

export interface PartStack {
  /** Innermost first. */
  frames: readonly string[];
  type: BlockType;
  subtype: string | null;
  allocated_bytes: number;
  blocks: number;
}

export interface PartHead {
  gpu: number;
  gpu_uuid: string;
  pid: number;
  name: string;
  start_time: number | null;
  /** Null for the memory that no allocator explains. */
  source: string | null;
  rows: number;
  same: boolean;
  columns: readonly string[];
  first_address: number | null;
  /** What a block's `kind` means. */
  kinds: readonly BlockKind[];
  stacks: readonly PartStack[];
  reason: string | null;
}

interface Head {
  timestamp: string;
  version: string;
  since: string | null;
  rows: number;
  rows_omitted: number;
  columns: readonly { name: string; type: keyof typeof ARRAYS; bytes: number }[];
  parts: readonly PartHead[];
}

/** Where a column lies: its planes, each a byte of every number, the lowest first. */
interface Place {
  type: keyof typeof ARRAYS;
  planes: readonly Uint8Array[];
}

/** The blocks of one allocator of a process on a GPU. */
export class Part {
  readonly #columns = new Map<string, Numbers>();

  constructor(
    readonly head: PartHead,
    private readonly places: ReadonlyMap<string, Place>,
  ) {}

  get rows(): number {
    return this.head.rows;
  }

  tells(name: ColumnName): boolean {
    return this.head.columns.includes(name) && this.places.has(name);
  }

  /** One number of a column but the addresses: for one, no column is unpacked. */
  at(name: Exclude<ColumnName, "address">, row: number): number {
    const known = this.#columns.get(name);
    if (known !== undefined) return known[row]!;
    const place = this.head.columns.includes(name) ? this.places.get(name) : undefined;
    return place?.planes.reduce((sum, plane, index) => sum + plane[row]! * 256 ** index, 0) ?? 0;
  }

  /** The numbers of a column, all 0 where it is not told; addresses as such. */
  numbers(name: ColumnName): Numbers {
    const known = this.#columns.get(name);
    if (known !== undefined) return known;
    const place = this.places.get(name);
    const made = place === undefined || !this.head.columns.includes(name) ? new Uint8Array(this.rows) : unpacked(place, this.rows);
    if (name === "address" && this.head.first_address !== null) addUp(made, this.numbers("size"), this.head.first_address);
    this.#columns.set(name, made);
    return made;
  }
}

export interface Table {
  /** Unix seconds. */
  time: number;
  version: string;
  /** Blocks beyond the most that one answer holds. */
  omitted: number;
  parts: readonly Part[];
}

/** Adds the numbers of one more byte; a loop on a typed array of one kind, which is what makes it fast. */
function addPlane(numbers: Numbers, plane: Uint8Array, scale: number): void {
  for (let row = 0; row < plane.length; row++) numbers[row]! += plane[row]! * scale;
}

function unpacked({ type, planes }: Place, rows: number): Numbers {
  if (BYTES_OF_ONE.has(type) && planes.length === 1) return planes[0]!;
  const numbers = new ARRAYS[type](rows);
  planes.forEach((plane, index) => addPlane(numbers, plane, 256 ** index));
  return numbers;
}

/** Turns distances from the end of the block before into addresses. */
function addUp(distances: Numbers, sizes: Numbers, first: number): void {
  let end = first;
  for (let row = 0; row < distances.length; row++) {
    distances[row]! += end;
    end = distances[row]! + sizes[row]!;
  }
}

function keyOf({ gpu_uuid, pid, start_time, source }: PartHead): string {
  return `${gpu_uuid}/${pid}/${start_time}/${source}`;
}

/** The table in an answer; `before` is the one whose version was its `since`. A part that is the same is the very same object. */
export function decode(buffer: ArrayBuffer, before: Table | null): Table {
  const bytes = new Uint8Array(buffer);
  const text = new TextDecoder();
  if (bytes.length < PREFIX_BYTES || text.decode(bytes.subarray(0, 4)) !== MAGIC) throw new Error("the server sends blocks in a layout that this page does not know: load it again");
  let at = PREFIX_BYTES + new DataView(buffer).getUint32(4, true);
  const head = JSON.parse(text.decode(bytes.subarray(PREFIX_BYTES, at))) as Head;
  const columns = head.columns.map(({ name, type, bytes: count }) => {
    const planes = Array.from({ length: count }, (_, plane) => bytes.subarray(at + plane * head.rows, at + (plane + 1) * head.rows));
    at += count * head.rows;
    return { name, type, planes };
  });
  if (at > bytes.length) throw new Error("the answer with the blocks is cut short");
  const known = new Map(head.since === before?.version ? before?.parts.map((part) => [keyOf(part.head), part]) : []);
  let first = 0;
  const parts = head.parts.map((part) => {
    if (part.same) {
      const kept = known.get(keyOf(part));
      if (kept === undefined) throw new Error("the server left out blocks that this page does not have");
      return kept;
    }
    const [start, end] = [first, first + part.rows];
    first = end;
    return new Part(part, new Map(columns.map(({ name, type, planes }) => [name, { type, planes: planes.map((plane) => plane.subarray(start, end)) }])));
  });
  return { time: Date.parse(head.timestamp) / 1000, version: head.version, omitted: head.rows_omitted, parts };
}
