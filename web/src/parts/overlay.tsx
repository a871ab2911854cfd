/** The address space of one process at two times, and what changed between them. */

import { useEffect, useState } from "preact/hooks";
import { askColumns } from "../data/api";
import { gather, ownersOf } from "../data/block_columns";
import { type BlockLayout, layoutOf, type Range } from "../data/block_layout";
import { byPurposeClassing, NOTHING, summarize } from "../data/block_pixels";
import { decode, type Table } from "../data/columns";
import { bytes, clock } from "../data/format";
import { PURPOSES } from "../data/purpose";
import { ground, isDark, token } from "../data/theme";
import { Canvas } from "../draw/canvas";
import { drawPicture, inksOf, raster } from "../draw/map_pixels";

const BAR_PX = 22;
const ROW_BYTES = 1024 ** 3;

interface Pair {
  a: BlockLayout;
  b: BlockLayout;
  end: number;
}

/** Both times on one axis, with ranges cut at the same places. */
function pairOf(then: Table, later: Table, gpu: string, pid: number): Pair | null {
  const [left, right] = [then, later].map((table) => ownersOf(table.parts, gpu, pid)) as [ReturnType<typeof ownersOf>, ReturnType<typeof ownersOf>];
  const both = { pid, name: "", reports: true, parts: [...left, ...right].flatMap((owner) => owner.parts) };
  const together = layoutOf(gather([both]), ROW_BYTES);
  if (together.count === 0) return null;
  const place = (owners: ReturnType<typeof ownersOf>) => placed(layoutOf(gather(owners), ROW_BYTES), together.ranges);
  return { a: place(left), b: place(right), end: together.end };
}

/** A layout at the positions of other ranges, which hold all its blocks. */
function placed(layout: BlockLayout, ranges: readonly Range[]): BlockLayout {
  let at = 0;
  layout.addresses.forEach((address, index) => {
    while (ranges[at + 1] !== undefined && ranges[at + 1]!.address <= address) at++;
    layout.positions[index] = ranges[at]!.position + (address - ranges[at]!.address);
  });
  return layout;
}

async function tableAt(gpu: string, time: number | null): Promise<Table> {
  const answer = await askColumns({ gpu, time, event: null, since: null, etag: null });
  return decode(answer!.body, null);
}

/** What nobody held yet, on a GPU that perhaps nobody had seen yet. */
const NOTHING_HELD: Table = { time: 0, version: "", omitted: 0, parts: [] };

/** `isNew`: the process held nothing at A, so nothing is asked of then. */
export function Overlay({ gpu, pid, name, a, b, isNew }: { gpu: string; pid: number; name: string; a: number; b: number | null; isNew: boolean }) {
  const [pair, setPair] = useState<Pair | null | string>("Asking for the blocks of both times.");
  useEffect(() => {
    let isWanted = true;
    Promise.all([isNew ? NOTHING_HELD : tableAt(gpu, a), tableAt(gpu, b)])
      .then(([then, later]) => isWanted && setPair(pairOf(then, later, gpu, pid)))
      .catch((error: unknown) => isWanted && setPair(error instanceof Error ? error.message : String(error)));
    return () => {
      isWanted = false;
    };
  }, [gpu, pid, a, b, isNew]);
  return (
    <section style={{ marginTop: "14px" }}>
      <div class="head">
        <h2>Map of {name}, then and later</h2>
        <small class="soft">
          <i class="swatch" style={{ background: "var(--alarm)" }} /> newly in use · <i class="swatch t-vertical" style={{ "--c": "var(--ok)" }} /> no longer ·{" "}
          <i class="swatch" style={{ background: "var(--shade)" }} /> in use in both
        </small>
      </div>
      {pair === null ? <p class="soft">n/a: nobody told the addresses of its blocks.</p> : typeof pair === "string" ? <p class="soft">{pair}</p> : <Bars pair={pair} a={a} b={b} />}
    </section>
  );
}

function Bars({ pair, a, b }: { pair: Pair; a: number; b: number | null }) {
  const dark = isDark.value;
  const classesOf = (layout: BlockLayout, width: number) => summarize(layout, 0, pair.end / width, width, byPurposeClassing(layout));
  const drawBlocks = (layout: BlockLayout) => (context: CanvasRenderingContext2D, width: number) => {
    const count = Math.floor(width);
    drawPicture(context, raster(classesOf(layout, count), count, inksOf(PURPOSES, ground(), dark), token("paper"), BAR_PX, 0));
  };
  const drawChange = (context: CanvasRenderingContext2D, width: number) => {
    const count = Math.floor(width);
    const [before, after] = [classesOf(pair.a, count), classesOf(pair.b, count)];
    for (let x = 0; x < count; x++) {
      const [was, is] = [isInUse(before.classes[x]!, before.shares[x]!), isInUse(after.classes[x]!, after.shares[x]!)];
      if (!was && !is) continue;
      context.fillStyle = token(was && is ? "shade" : is ? "alarm" : "ok");
      if (was && !is && x % 4 > 1) continue; // a texture, so that colour does not decide alone
      context.fillRect(x, 0, 1, BAR_PX);
    }
  };
  return (
    <div class="overlay">
      <b>A {clock(a)}</b>
      <Canvas label="blocks at A by address" of={[pair]} height={BAR_PX} draw={drawBlocks(pair.a)} />
      <b>B {b === null ? "now" : clock(b)}</b>
      <Canvas label="blocks at B by address" of={[pair]} height={BAR_PX} draw={drawBlocks(pair.b)} />
      <b>changed</b>
      <Canvas label="what is newly in use, and what no longer" of={[pair]} height={BAR_PX} draw={drawChange} />
      <span />
      <small class="soft">0 to {bytes(pair.end)} by address</small>
    </div>
  );
}

function isInUse(code: number, share: number): boolean {
  return code !== NOTHING && share >= 0.5;
}
