/** What lies where, and why does nothing fit? */

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Block, Snapshot } from "../data/answers";
import { blockAt, type BlockLayout, byPurposeClassing, holesOf, layoutOf, rowBytesFor, sumsOf, summarize } from "../data/block_map";
import { blocks, followBlocks } from "../data/blocks";
import { bytes, clock, clockTenths, MIB, plural } from "../data/format";
import { gpuShort, type GpuLedger, processLabel } from "../data/ledger";
import { type Purpose, PURPOSE_OF, purposeOf, PURPOSES } from "../data/purpose";
import { events, go, gpuLeaves, linkTo, route, shown } from "../data/store";
import { isDark, token } from "../data/theme";
import { timeOf } from "../data/answers";
import { Canvas, positionOf } from "../draw/canvas";
import { drawPicture, inksOf, raster, ROW_STEP, runsOf } from "../draw/map_pixels";
import { Absent, Chips, Swatch } from "../parts/basics";
import { Footer, Waiting } from "../parts/frame";

const LETTER_PX = 70;
const LEFT_PX = 50;
const ROWS_SHOWN = 50;
const ZOOMS_MAX = 8;
const MAGNIFIED_PX = 26;
const REFUSAL_RECENT_SECONDS = 600;

interface Zoom {
  level: number;
  /** First row shown, of the zoomed map. */
  top: number;
}

const zoom = signal<Zoom>({ level: 0, top: 0 });
const pinned = signal<string | null>(null);

/** The block's identity from sample to sample. */
function keyOf(block: Block): string {
  return `${block.pid}/${block.address}`;
}

/** The GPU of the map: the chosen one, else the one with most in use. */
function chosenLedger(): GpuLedger | undefined {
  const all = gpuLeaves.value;
  return all.find((one) => one.gpu.uuid === route.value.gpu) ?? all.toSorted((a, b) => b.gpu.used_bytes - a.gpu.used_bytes)[0];
}

export function MapView() {
  const ledger = chosenLedger();
  const uuid = ledger?.gpu.uuid ?? null;
  useEffect(() => (uuid === null ? undefined : followBlocks(uuid)), [uuid]);
  useEffect(() => {
    zoom.value = { level: 0, top: 0 };
    pinned.value = null;
  }, [uuid, route.value.pid]);
  if (shown.value === null || ledger === undefined) return <Waiting />;
  const told = ledger.processes.filter((one) => one.reports);
  const process = ledger.processes.find((one) => one.process.pid === route.value.pid) ?? told.toSorted((a, b) => b.process.used_bytes - a.process.used_bytes)[0] ?? ledger.processes[0];
  const found = blocks.value.gpu === uuid ? blocks.value : null;
  return (
    <>
      <main id="content" tabIndex={-1}>
        <div class="chips">
          <Chips
            label="GPU"
            choices={gpuLeaves.value.map((one) => ({ value: one.gpu.uuid, text: gpuShort(one.gpu) }))}
            chosen={ledger.gpu.uuid}
            onChoose={(gpu) => go({ gpu, pid: null })}
          />
          <Chips
            label="process"
            choices={ledger.processes.map((one) => ({ value: one.process.pid, text: processLabel(one.process) }))}
            chosen={process?.process.pid ?? 0}
            onChoose={(pid) => go({ pid })}
          />
          <ZoomControls />
        </div>
        {process === undefined ? (
          <p class="empty">No process holds memory on {ledger.label}.</p>
        ) : found?.snapshot == null ? (
          <p class="empty">{found?.error ?? "Asking for the blocks."}</p>
        ) : (
          <ProcessMap key={`${uuid}/${process.process.pid}`} snapshot={found.snapshot} ledger={ledger} pid={process.process.pid} reports={process.reports} />
        )}
      </main>
      <Footer>
        {found?.snapshot != null && (
          <>
            blocks of {clock(timeOf(found.snapshot))} · {plural(found.snapshot.blocks.length, "block")} of the {ledger.gpu.mig === null ? "GPU" : "slice"},{" "}
            {found.snapshot.blocks_omitted === 0 ? "none cut" : `${found.snapshot.blocks_omitted} cut`}
          </>
        )}
      </Footer>
    </>
  );
}

function ZoomControls() {
  const { level, top } = zoom.value;
  return (
    <span class="end">
      <button type="button" aria-label="zoom out" disabled={level === 0} onClick={() => zoomBy(-1)}>
        −
      </button>
      <span aria-live="polite">{scale.value}</span>
      <button type="button" aria-label="zoom in" disabled={level === ZOOMS_MAX} onClick={() => zoomBy(1)}>
        +
      </button>
      {level > 0 && (
        <>
          <button type="button" aria-label="up" disabled={top === 0} onClick={() => (zoom.value = { level, top: Math.max(0, top - ROWS_SHOWN / 2) })}>
            ↑
          </button>
          <button type="button" aria-label="down" onClick={() => (zoom.value = { level, top: top + ROWS_SHOWN / 2 })}>
            ↓
          </button>
        </>
      )}
    </span>
  );
}

/** What a pixel and a row stand for, in words. */
const scale = signal("");

/** Zooms so that row `at` of what is shown stays where it is. */
function zoomBy(levels: number, at = 0): void {
  const { level, top } = zoom.peek();
  const next = Math.min(ZOOMS_MAX, Math.max(0, level + levels));
  const row = (top + at) * 2 ** (next - level);
  zoom.value = { level: next, top: next === 0 ? 0 : Math.max(0, Math.floor(row - at)) };
}

interface MapProps {
  snapshot: Snapshot;
  ledger: GpuLedger;
  pid: number;
  reports: boolean;
}

function ProcessMap({ snapshot, ledger, pid, reports }: MapProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1024);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(64, Math.floor(entry!.contentRect.width) - LEFT_PX)));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const own = useMemo(() => snapshot.blocks.filter((block) => block.pid === pid), [snapshot, pid]);
  const [rowBytes, layout] = useMemo(() => {
    const size = rowBytesFor(own);
    return [size, layoutOf(own, size, reports)] as const;
  }, [own, reports]);
  const [hovered, setHovered] = useState<number | null>(null);
  const index = pinned.value === null ? -1 : layout.blocks.findIndex((block) => keyOf(block) === pinned.value);
  const focused = hovered ?? (index === -1 ? null : index);
  return (
    <div class="two">
      <div ref={box} style={{ minWidth: 0 }}>
        {layout.blocks.length === 0 ? (
          <Opaque layout={layout} reports={reports} />
        ) : (
          <>
            <BlockCanvas layout={layout} rowBytes={rowBytes} width={width} hovered={hovered} setHovered={setHovered} pinnedIndex={index} ledger={ledger} />
            <Magnifier layout={layout} index={focused ?? 0} isPinned={focused === index} />
          </>
        )}
      </div>
      <aside class="side">
        <Sums layout={layout} ledger={ledger} reports={reports} time={timeOf(snapshot)} />
        {layout.blocks.length > 0 && <HolesCard layout={layout} ledger={ledger} />}
        {focused !== null && layout.blocks[focused] !== undefined && <BlockCard block={layout.blocks[focused]} isPinned={focused === index} reports={reports} />}
      </aside>
    </div>
  );
}

function Opaque({ layout, reports }: { layout: BlockLayout; reports: boolean }) {
  const size = layout.opaque.reduce((sum, block) => sum + block.size, 0);
  return (
    <div class="card t-cross" style={{ padding: "60px 20px", textAlign: "center" }}>
      <span class="login" style={{ display: "inline", background: "var(--paper)", padding: "4px 10px" }}>
        {bytes(size)}, no addresses: {reports ? "its allocator tells none" : "no allocator reports from this process. Start it with "}
        {!reports && <code>blackbox run -- …</code>}
      </span>
    </div>
  );
}

interface CanvasProps {
  layout: BlockLayout;
  rowBytes: number;
  width: number;
  hovered: number | null;
  setHovered: (index: number | null) => void;
  pinnedIndex: number;
  ledger: GpuLedger;
}

function BlockCanvas({ layout, rowBytes, width, hovered, setHovered, pinnedIndex }: CanvasProps) {
  const [card, setCard] = useState<{ x: number; y: number } | null>(null);
  const { level, top } = zoom.value;
  const zoomedRow = rowBytes / 2 ** level;
  const perPixel = zoomedRow / width;
  const rowsInAll = Math.ceil(layout.end / zoomedRow);
  const first = Math.min(top, Math.max(0, rowsInAll - 1));
  const rows = Math.min(ROWS_SHOWN, rowsInAll - first);
  const dark = isDark.value;
  useEffect(() => {
    scale.value = `1 px = ${bytes(perPixel).replace(".0", "")}, 1 row = ${bytes(zoomedRow).replace(".0", "")}`;
  }, [perPixel, zoomedRow]);
  const pixels = useMemo(() => summarize(layout, first * zoomedRow, perPixel, rows * width, byPurposeClassing(layout)), [layout, first, zoomedRow, rows, width]);
  const picture = useMemo(() => {
    const ground = { paper: token("paper"), shade: token("shade"), hatch: token("hatch"), out: token("out") };
    return raster(pixels, width, inksOf(PURPOSES, ground, dark), ground.paper);
  }, [pixels, width, dark]);
  const holes = useMemo(() => holesOf(layout), [layout]);

  const positionAt = (event: PointerEvent | MouseEvent | WheelEvent) => {
    const { x, y } = positionOf(event);
    if (x < LEFT_PX || x >= LEFT_PX + width) return null;
    return (first + Math.floor(y / ROW_STEP)) * zoomedRow + (x - LEFT_PX) * perPixel;
  };
  const step = (by: number) => {
    const from = hovered ?? (pinnedIndex === -1 ? (blockAt(layout, first * zoomedRow) ?? 0) : pinnedIndex);
    const next = Math.min(layout.blocks.length - 1, Math.max(0, from + by));
    pinned.value = keyOf(layout.blocks[next]!);
    const row = Math.floor(layout.positions[next]! / zoomedRow);
    if (row < first || row >= first + ROWS_SHOWN) zoom.value = { level, top: Math.max(0, row - ROWS_SHOWN / 2) };
  };
  const focusedBlock = layout.blocks[hovered ?? pinnedIndex];
  return (
    <div class="map">
      <Canvas
        label={`map of ${plural(layout.blocks.length, "block")} by address; arrow keys go from block to block`}
        role="application"
        height={rows * ROW_STEP}
        attributes={{
          tabIndex: 0,
          onPointerMove: (event) => {
            const position = positionAt(event);
            setHovered(position === null ? null : blockAt(layout, position));
            setCard(positionOf(event));
          },
          onPointerLeave: () => {
            setHovered(null);
            setCard(null);
          },
          onClick: (event) => {
            const position = positionAt(event);
            const at = position === null ? null : blockAt(layout, position);
            pinned.value = at === null ? null : keyOf(layout.blocks[at]!);
          },
          onWheel: (event) => {
            event.preventDefault();
            zoomBy(event.deltaY < 0 ? 1 : -1, Math.floor(positionOf(event).y / ROW_STEP));
          },
          onKeyDown: (event) => {
            const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
            if (by === undefined) return;
            event.preventDefault();
            event.stopPropagation();
            step(by);
          },
        }}
        draw={(context) => {
          drawPicture(context, picture, LEFT_PX, 0);
          drawAddresses(context, first, rows, zoomedRow);
          context.font = "650 9px system-ui, sans-serif";
          context.textAlign = "left";
          for (const run of runsOf(pixels, width, LETTER_PX)) {
            const purpose: Purpose = PURPOSES[run.code]!;
            context.fillStyle = dark ? purpose.darkInk : purpose.lightInk;
            context.fillText(purpose.letter, LEFT_PX + run.x + 5, run.row * ROW_STEP + 8);
          }
          const outline = (index: number, dashed: boolean, colour: string) => outlineBlock(context, layout, index, first, rows, zoomedRow, width, dashed, colour);
          if (holes.largest !== null) outline(holes.largest.index, true, token("ink"));
          if (pinnedIndex !== -1) outline(pinnedIndex, false, token("ink"));
          if (hovered !== null) outline(hovered, false, token("focus"));
          if (holes.largest !== null) nameHole(context, layout, holes.largest.index, holes.largest.bytes, first, rows, zoomedRow, width);
        }}
      />
      {card !== null && hovered !== null && layout.blocks[hovered] !== undefined && (
        <div class="card-hover" style={{ left: `${Math.min(card.x + 14, width - 130)}px`, top: `${card.y + 16}px` }}>
          <HoverLines block={layout.blocks[hovered]} />
        </div>
      )}
      <p class="small soft" style={{ marginTop: "8px" }}>
        <b>How to read.</b> By address, left to right, then down; a row’s end is no gap. A pixel takes the colour of what fills most of it, as strong as its share in
        use (4 steps). {plural(pixels.hidden, "block")} of {layout.blocks.length} {pixels.hidden === 1 ? "is" : "are"} smaller than a pixel: the magnifier shows them.
        {layout.ranges.length > 1 && ` ${layout.ranges.length - 1} ranges without memory are cut.`}
      </p>
      <p class="visually-hidden" aria-live="polite">
        {focusedBlock !== undefined && `${purposeOf(focusedBlock, true).name}, ${bytes(focusedBlock.size)}, at 0x${focusedBlock.address.toString(16)}`}
      </p>
    </div>
  );
}

function drawAddresses(context: CanvasRenderingContext2D, first: number, rows: number, rowBytes: number): void {
  context.fillStyle = token("soft");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  for (let row = 0; row < rows; row += 5) {
    const text = bytes((first + row) * rowBytes).replace(".0", "");
    context.fillText(text === "0 B" ? "0" : text, LEFT_PX - 5, row * ROW_STEP + 9);
  }
}

type Outline = (context: CanvasRenderingContext2D, layout: BlockLayout, index: number, first: number, rows: number, rowBytes: number, width: number, dashed: boolean, colour: string) => void;

const outlineBlock: Outline = (context, layout, index, first, rows, rowBytes, width, dashed, colour) => {
  context.strokeStyle = colour;
  context.lineWidth = dashed ? 1 : 2;
  context.setLineDash(dashed ? [4, 3] : []);
  for (const part of partsOf(layout, index, first, rows, rowBytes, width)) {
    context.strokeRect(LEFT_PX + part.x, part.row * ROW_STEP - 0.5, Math.max(2, part.width), ROW_STEP);
  }
  context.setLineDash([]);
};

/** The rows that a block lies on, among those shown. */
function partsOf(layout: BlockLayout, index: number, first: number, rows: number, rowBytes: number, width: number): { row: number; x: number; width: number }[] {
  const start = layout.positions[index] ?? 0;
  const end = start + (layout.sizes[index] ?? 0);
  const parts = [];
  for (let row = Math.max(first, Math.floor(start / rowBytes)); row < first + rows && row * rowBytes < end; row++) {
    const left = Math.max(0, (start - row * rowBytes) / rowBytes) * width;
    const right = Math.min(1, (end - row * rowBytes) / rowBytes) * width;
    parts.push({ row: row - first, x: left, width: right - left });
  }
  return parts;
}

function nameHole(context: CanvasRenderingContext2D, layout: BlockLayout, index: number, size: number, first: number, rows: number, rowBytes: number, width: number): void {
  const part = partsOf(layout, index, first, rows, rowBytes, width).toSorted((a, b) => b.width - a.width)[0];
  const text = `largest free piece ${bytes(size)}`;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  const measured = context.measureText(text).width;
  if (part === undefined || part.width < measured + 16) return;
  const x = LEFT_PX + part.x + (part.width - measured) / 2;
  context.fillStyle = token("paper");
  context.fillRect(x - 4, part.row * ROW_STEP, measured + 8, ROW_STEP - 1);
  context.fillStyle = token("ink");
  context.fillText(text, x, part.row * ROW_STEP + 9);
}

function HoverLines({ block }: { block: Block }) {
  const purpose = purposeOf(block, true);
  return (
    <>
      <div>
        <Swatch purpose={purpose} /> <b>{purpose.name}</b>, {bytes(block.size)}
      </div>
      <div class="mono soft">0x{block.address.toString(16)}</div>
    </>
  );
}

function Magnifier({ layout, index, isPinned }: { layout: BlockLayout; index: number; isPinned: boolean }) {
  const at = Math.min(index, layout.blocks.length - 1);
  const size = layout.sizes[at] ?? MIB;
  const dark = isDark.value;
  const [span, setSpan] = useState<[number, number]>([0, 1]);
  return (
    <figure style={{ marginTop: "10px" }}>
      <figcaption class="head">
        <h2>Magnifier</h2>
        <small class="soft">around the {isPinned ? "pinned block" : "block under the pointer"}</small>
        <small class="soft" style={{ marginLeft: "auto" }}>
          {bytes(span[0])} to {bytes(span[1])}
        </small>
      </figcaption>
      <Canvas
        label="the blocks around, enlarged"
        height={MAGNIFIED_PX}
        draw={(context, width) => {
          const perPixel = Math.max(64, (size * 6) / width);
          const from = Math.max(0, layout.positions[at]! + size / 2 - (perPixel * width) / 2);
          const count = Math.floor(width);
          const ground = { paper: token("paper"), shade: token("shade"), hatch: token("hatch"), out: token("out") };
          const pixels = summarize(layout, from, perPixel, count, byPurposeClassing(layout));
          drawPicture(context, raster(pixels, count, inksOf(PURPOSES, ground, dark), ground.paper, MAGNIFIED_PX, 0));
          context.strokeStyle = token("ink");
          context.lineWidth = 2;
          context.strokeRect((layout.positions[at]! - from) / perPixel, 1, size / perPixel, MAGNIFIED_PX - 2);
          if (span[0] !== from || span[1] !== from + perPixel * count) setSpan([from, from + perPixel * count]);
        }}
      />
    </figure>
  );
}

function Sums({ layout, ledger, reports, time }: { layout: BlockLayout; ledger: GpuLedger; reports: boolean; time: number }) {
  const { gpu } = ledger;
  const rest = [
    { purpose: PURPOSE_OF.get("unattributed")!, bytes: gpu.unattributed_bytes, blocks: 0 },
    { purpose: PURPOSE_OF.get("free")!, bytes: gpu.free_bytes, blocks: 0 },
    { purpose: PURPOSE_OF.get("driver")!, bytes: gpu.driver_reserved_bytes, blocks: 0 },
  ];
  return (
    <section class="card">
      <h2>
        {ledger.label}, {clock(time)}
      </h2>
      <table>
        <tbody>
          {[...sumsOf(layout, reports), ...rest].map((sum) => (
            <tr key={sum.purpose.key}>
              <td>
                <Swatch purpose={sum.purpose} /> {sum.purpose.name}
              </td>
              <td class="num soft">{sum.blocks === 0 ? "–" : sum.blocks}</td>
              <td class="num">
                <b>{bytes(sum.bytes)}</b>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function HolesCard({ layout, ledger }: { layout: BlockLayout; ledger: GpuLedger }) {
  const holes = holesOf(layout);
  const refused = events.value.findLast((event) => event.kind === "oom" && event.gpu_uuid === ledger.gpu.uuid && event.timestamp > (shown.value === null ? 0 : timeOf(shown.value)) - REFUSAL_RECENT_SECONDS);
  const asked = refused?.oom?.requested_bytes;
  return (
    <section class="card">
      <h2>
        Holes <small class="soft">in its cache</small>
      </h2>
      <dl class="facts">
        <dt>free in cache</dt>
        <dd class="num">
          <b>{bytes(holes.bytes)}</b>
        </dd>
        <dt>in pieces</dt>
        <dd class="num">{holes.pieces}</dd>
        <dt>largest piece</dt>
        <dd class="num">
          <b>{holes.largest === null ? "none" : bytes(holes.largest.bytes)}</b>
        </dd>
        <dt>free on {ledger.gpu.mig === null ? "GPU" : "slice"}</dt>
        <dd class="num">{bytes(ledger.gpu.free_bytes)}</dd>
      </dl>
      {asked !== undefined && refused !== undefined && (
        <p class="small" style={{ marginTop: "6px" }}>
          <a href={linkTo({ view: "incidents", more: { id: String(refused.id) } })}>The request refused at {clockTenths(refused.timestamp)}</a>, {bytes(asked)},{" "}
          {asked <= Math.max(holes.largest?.bytes ?? 0, ledger.gpu.free_bytes) ? "would fit here." : "does not fit here either."}
        </p>
      )}
    </section>
  );
}

const NOT_TOLD = "this page does not show it; /vram/columns tells it where the allocator does";

function BlockCard({ block, isPinned, reports }: { block: Block; isPinned: boolean; reports: boolean }) {
  const purpose = purposeOf(block, reports);
  return (
    <section class="card">
      <h2>
        Block <small class="soft">{isPinned ? "pinned" : "under the pointer"}</small>
      </h2>
      <p>
        <Swatch purpose={purpose} />{" "}
        <b>
          {purpose.name}, {bytes(block.size)}
        </b>
      </p>
      <dl class="facts">
        <dt>address</dt>
        <dd class="mono">0x{block.address.toString(16)}</dd>
        <dt>asked for</dt>
        <dd>{block.requested_bytes === undefined ? <Absent reason="the allocator does not tell" /> : bytes(block.requested_bytes)}</dd>
        <dt>thread</dt>
        <dd>
          {block.thread_id ?? <Absent reason="its owner is not known" />}, stream {block.stream ?? <Absent reason="the allocator does not tell" />}
        </dd>
        <dt>known by</dt>
        <dd>{block.type_source ?? <Absent reason="nobody told what it is for" />}</dd>
        <dt>age</dt>
        <dd>
          <Absent reason={NOT_TOLD} />
        </dd>
        <dt>stack</dt>
        <dd>
          <Absent reason={NOT_TOLD} />
        </dd>
      </dl>
      <p>
        <a href={linkTo({ view: "moment", pid: block.pid, time: route.value.time })}>
          what lived then, by stack <kbd>M</kbd>
        </a>
      </p>
    </section>
  );
}

export const mapKeys: Readonly<Record<string, () => void>> = { w: () => zoomBy(1), s: () => zoomBy(-1) };
