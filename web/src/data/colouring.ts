/** What the colours of a map stand for: purpose, process, age or stack. Pure. */

import { type Blocks, columnOf, isLivePurpose } from "./block_columns";
import { byPurposeClassing, type Classing } from "./block_pixels";
import { processLabel } from "./ledger";
import { AGES, type Purpose, PURPOSE_OF, PURPOSES, ROW_COLOURS } from "./purpose";

export const COLOURINGS = ["purpose", "process", "age", "stack"] as const;
export type Colouring = (typeof COLOURINGS)[number];

export interface Scheme extends Classing {
  /** Name, colour and letter, by code. */
  inks: readonly Purpose[];
}

const FREE: Purpose = { ...PURPOSE_OF.get("cached")!, name: "not in use" };

function textured(of: string, name: string): Purpose {
  return { ...PURPOSE_OF.get(of)!, name, letter: "" };
}

export function schemeOf(blocks: Blocks, colouring: Colouring, time: number): Scheme {
  switch (colouring) {
    case "purpose":
      return { ...byPurposeClassing(blocks), inks: PURPOSES };
    case "process":
      return ranked(blocks, blocks.ownerOf, blocks.owners.map(processLabel), textured("unattributed", "other processes"), null);
    case "age":
      return byAge(blocks, time);
    case "stack":
      return byStack(blocks);
  }
}

/** Code 0: not in use; then the inks given, for blocks in use. */
function scheme(blocks: Blocks, inks: readonly Purpose[], codeOf: (index: number) => number): Scheme {
  const codes = new Uint8Array(blocks.count);
  for (let index = 0; index < blocks.count; index++) if (isLivePurpose(blocks.purposes[index]!)) codes[index] = 1 + codeOf(index);
  return { codes, inks: [FREE, ...inks], live: Uint8Array.from([0, ...inks.map(() => 1)]) };
}

/** The eight largest rows take the eight colours, the others one texture; `none` stands for row -1. */
function ranked(blocks: Blocks, rowOf: ArrayLike<number>, names: readonly string[], others: Purpose, none: Purpose | null): Scheme {
  const bytes = new Float64Array(names.length);
  for (let index = 0; index < blocks.count; index++) {
    if (isLivePurpose(blocks.purposes[index]!) && rowOf[index]! >= 0) bytes[rowOf[index]!]! += blocks.sizes[index]!;
  }
  const largest = names.map((_, row) => row).toSorted((a, b) => bytes[b]! - bytes[a]!).slice(0, ROW_COLOURS.length);
  const places = new Uint8Array(names.length).fill(largest.length);
  largest.forEach((row, place) => (places[row] = place));
  const inks = [...largest.map((row, place) => ({ ...ROW_COLOURS[place]!, letter: String(place + 1), name: names[row]! })), others, ...(none === null ? [] : [none])];
  return scheme(blocks, inks, (index) => (rowOf[index]! < 0 ? largest.length + 1 : places[rowOf[index]!]!));
}

function byStack(blocks: Blocks): Scheme {
  const column = columnOf(blocks, "stack");
  const names: string[] = [];
  const rowOfName = new Map<string, number>();
  const rowOf = new Int32Array(blocks.count).fill(-1);
  // a part numbers its stacks from 1 on
  const parts = blocks.owners.flatMap((owner) => owner.parts.map((part) => ({ part, owner })));
  const rows = parts.map(({ part, owner }) =>
    part.head.stacks.map((stack) => {
      const key = `${owner.pid}\n${stack.frames.join("\n")}`;
      if (!rowOfName.has(key)) {
        rowOfName.set(key, names.length);
        names.push(stack.frames[0] ?? "a stack without frames");
      }
      return rowOfName.get(key)!;
    }),
  );
  const starts: number[] = [];
  parts.reduce((first, { part }) => (starts.push(first), first + part.rows), 0);
  let place = 0;
  for (let index = 0; index < blocks.count; index++) {
    const stack = column[index]!;
    const row = blocks.rows[index]!;
    if (stack === 0) continue;
    while (starts[place]! > row) place--;
    while (place + 1 < starts.length && starts[place + 1]! <= row) place++;
    rowOf[index] = rows[place]![stack - 1] ?? -1;
  }
  return ranked(blocks, rowOf, names, textured("unattributed", "other stacks"), textured("opaque", "no stack told"));
}

/** Under so many seconds, by index of `AGES`, but the last, which is older. */
export const AGE_LIMITS = [10, 60, 600, 3600, 86_400] as const;

function byAge(blocks: Blocks, time: number): Scheme {
  const column = columnOf(blocks, "allocated_ms");
  const unknown = textured("opaque", "age not told");
  return scheme(blocks, [...AGES, unknown], (index) => {
    if (column[index] === 0) return AGES.length;
    const age = time - column[index]! / 1000;
    const place = AGE_LIMITS.findIndex((limit) => age < limit);
    return place === -1 ? AGES.length - 1 : place;
  });
}
