import { expect, test } from "vitest";
import { gather, ownersOf } from "../src/data/block_columns";
import { layoutOf, rowBytesFor, segmentsOf } from "../src/data/block_layout";
import { laidOut, layOutAhead } from "../src/data/laid_out";
import { BASE, block, many, MIB, table, UUID } from "./tables";

const pause = () => Promise.resolve();

test("what is laid out ahead is what would be laid out at once, and is at hand then", async () => {
  const { parts } = table({ pid: 1, blocks: many(500, 3) }, { pid: 2, blocks: [block(0, MIB, { segment: BASE })] });
  await layOutAhead(parts, UUID, null, pause);
  const found = laidOut(parts, UUID, null);
  const gathered = gather(ownersOf(parts, UUID, null));
  const layout = layoutOf(gathered, rowBytesFor(gathered));
  expect(found.layout).toEqual(layout);
  expect(found.segments).toEqual(segmentsOf(layout));
  expect(laidOut([...parts], UUID, null)).toBe(found);
});

test("what is shown stays at hand until the next is laid out; another process is another layout", async () => {
  const [first, second] = [table({ pid: 1, blocks: [block(0, MIB)] }), table({ pid: 1, blocks: [block(0, 2 * MIB)] })];
  const shown = laidOut(first.parts, UUID, null);
  let steps = 0;
  await layOutAhead(second.parts, UUID, null, async () => {
    steps++;
    expect(laidOut(first.parts, UUID, null)).toBe(shown);
  });
  expect(steps).toBeGreaterThan(1);
  expect(laidOut(second.parts, UUID, null).layout.sizes[0]).toBe(2 * MIB);
  expect(laidOut(second.parts, UUID, 7).layout.count).toBe(0);
});
