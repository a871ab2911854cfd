import { expect, test } from "vitest";
import type { Comparison } from "../src/data/answers";
import { leaves, ledgersOf } from "../src/data/ledger";
import { folded, icicle, matchesRow, stackRows } from "../src/data/stacks";
import { GIB, snapshot } from "./snapshots";

const FRAMES = ["layers.py:52 attention", "model.py:27 forward", "notebook.py:1 <module>"];
const made = snapshot({
  stacks: [
    { pid: 2, gpu: 2, frames: FRAMES, type: "activation", allocated_bytes: 13 * GIB, blocks: 40 },
    { pid: 2, gpu: 2, frames: ["losses.py:7 loss", ...FRAMES.slice(1)], type: "activation", allocated_bytes: GIB, blocks: 2 },
  ],
});
const ledgers = leaves(ledgersOf(made)).flatMap((ledger) => ledger.processes);

function comparison(more: Partial<Comparison["processes"][number]>): Comparison {
  const side = { timestamp: "", used_bytes: 0 };
  const changed = { change: "grown", gpu: 2, gpu_uuid: "MIG-a", pid: 2, name: "python", before_bytes: 0, after_bytes: 0, delta_bytes: 0, types: [], purposes: [], stacks: [], unknown: {}, ...more } as const;
  return { a: side, b: side, delta_bytes: 0, processes: [changed], unchanged: 0 };
}

test("what no stack explains is a row with its reason, and nothing is counted twice", () => {
  const rows = stackRows(made, ledgers, null);
  expect(rows.map((row) => [row.process.pid, row.bytes / GIB, row.reason !== null])).toEqual([
    [2, 13, false],
    [1, 10, true],
    [2, 1, false],
    [2, 1, true],
  ]);
});

test("a change is told where it is known, is 0 where nothing changed, and is not known where stacks were not told", () => {
  const stacks = [{ frames: FRAMES, type: "activation", subtype: null, before_bytes: 0, after_bytes: 0, delta_bytes: 5 }] as const;
  const changes = (before: Comparison) => stackRows(made, ledgers, before).map((row) => row.change);
  expect(changes(comparison({ stacks }))).toEqual([5, null, 0, null]);
  expect(changes(comparison({ unknown: { stacks: "not told" } }))).toEqual([null, null, null, null]);
});

test("the icicle has the bytes of the table on every level it fills", () => {
  const rows = stackRows(made, ledgers, null);
  const nodes = icicle(rows);
  const total = rows.reduce((sum, row) => sum + row.bytes, 0);
  expect(nodes.filter((node) => node.depth === 0).reduce((sum, node) => sum + node.bytes, 0)).toBe(total);
  const forward = nodes.find((node) => node.name === "model.py:27 forward")!;
  expect(forward.bytes).toBe(14 * GIB);
  expect(forward.purpose).toBeNull();
  expect(nodes.filter((node) => node.purpose !== null).map((node) => node.name)).toEqual([FRAMES[0], "losses.py:7 loss"]);
  for (const node of nodes) expect(node.start + node.bytes / total).toBeLessThanOrEqual(1 + 1e-9);
});

test("rows are found by process, file and purpose", () => {
  const [row] = stackRows(made, ledgers, null);
  for (const filter of ["", "attention", "python 2", "ACTIV layers", "ada"]) expect(matchesRow(row!, filter)).toBe(true);
  expect(matchesRow(row!, "attention nowhere")).toBe(false);
});

test("folded stacks begin with the process and end with the bytes", () => {
  expect(folded(stackRows(made, ledgers, null)).split("\n")[0]).toBe(`python 2;notebook.py:1 <module>;model.py:27 forward;layers.py:52 attention ${13 * GIB}`);
});
