/** What lies where, and why does nothing fit? */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type BlockLayout, indexOf } from "../data/block_layout";
import { laidOut } from "../data/laid_out";
import { blocks, followBlocks } from "../data/blocks";
import { type Colouring, COLOURINGS, schemeOf } from "../data/colouring";
import type { Table } from "../data/columns";
import { bytes, clock, counted, plural } from "../data/format";
import { gpuShort, type GpuLedger, processLabel } from "../data/ledger";
import { moved, parsePlace, placeText, windowOf, zoomed } from "../data/map_window";
import { go, goMore, gpuLeaves, route, shown } from "../data/store";
import { Chips } from "../parts/basics";
import { Footer, Main, Waiting } from "../parts/frame";
import { BlockCanvas, hovered, LEFT_PX, Magnifier } from "../parts/map_canvas";
import { BlockCard, HolesCard, SegmentsCard, Sums } from "../parts/map_side";

const WIDTH_MIN = 64;
/** Owners without an address that are named one by one. */
const NAMED_MAX = 6;
const HALF_WINDOW = 25;

/** The GPU of the map: the chosen one, else the one with most in use. */
function chosenLedger(): GpuLedger | undefined {
  const all = gpuLeaves.value;
  return all.find((one) => one.gpu.uuid === route.value.gpu) ?? all.toSorted((a, b) => b.gpu.used_bytes - a.gpu.used_bytes)[0];
}

export function colouring(): Colouring {
  return COLOURINGS.find((one) => one === route.value.more["colour"]) ?? "purpose";
}

export function MapView() {
  const ledger = chosenLedger();
  const uuid = ledger?.gpu.uuid ?? null;
  useEffect(() => (uuid === null ? undefined : followBlocks(uuid)), [uuid]);
  if (shown.value === null || ledger === undefined) return <Waiting />;
  const found = blocks.value.gpu === uuid ? blocks.value : null;
  const pid = ledger.processes.some((one) => one.process.pid === route.value.pid) ? route.value.pid : null;
  return (
    <>
      <Main>
        <div class="chips">
          <Chips
            label="GPU"
            choices={gpuLeaves.value.map((one) => ({ value: one.gpu.uuid, text: gpuShort(one.gpu) }))}
            chosen={ledger.gpu.uuid}
            onChoose={(gpu) => (go({ gpu, pid: null }), goMore(WHOLE))}
          />
          {ledger.processes.length > 0 && (
            <Chips
              label="process"
              choices={[
                ...(ledger.processes.length > 1 ? [{ value: null as number | null, text: "all" }] : []),
                ...ledger.processes.map((one) => ({ value: one.process.pid as number | null, text: processLabel(one.process) })),
              ]}
              chosen={ledger.processes.length > 1 ? pid : ledger.processes[0]!.process.pid}
              onChoose={(next) => (go({ pid: next }), goMore(WHOLE))}
            />
          )}
          <Chips label="colour" choices={COLOURINGS.map((value) => ({ value, text: value }))} chosen={colouring()} onChoose={(next) => goMore({ colour: next === "purpose" ? null : next })} />
        </div>
        {ledger.processes.length === 0 ? (
          <p class="empty">No process holds memory on {ledger.label}.</p>
        ) : found?.table == null ? (
          <p class="empty">{found?.error == null ? "Asking for the blocks." : `The blocks cannot be shown: ${found.error}.`}</p>
        ) : (
          <AddressMap table={found.table} ledger={ledger} pid={pid} />
        )}
      </Main>
      <Footer>
        {found?.table != null && (
          <>
            blocks of {clock(found.table.time)}, {found.table.omitted === 0 ? "none cut" : `${counted(found.table.omitted)} cut`}
          </>
        )}
      </Footer>
    </>
  );
}

/** No segment, no zoom, no pinned block. */
const WHOLE = { seg: null, zoom: null, at: null, block: null };

function AddressMap({ table, ledger, pid }: { table: Table; ledger: GpuLedger; pid: number | null }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1024);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(WIDTH_MIN, Math.floor(entry!.contentRect.width) - LEFT_PX)));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const { layout, segments } = laidOut(table.parts, ledger.gpu.uuid, pid);
  const kind = colouring();
  const scheme = useMemo(() => schemeOf(layout, kind, table.time), [layout, kind, kind === "age" ? table.time : 0]);
  const { seg, zoom, at, block } = route.value.more;
  const window = useMemo(() => windowOf(layout, segments, { segment: parsePlace(seg), level: Number(zoom ?? 0) || 0, at: parsePlace(at) }), [layout, segments, seg, zoom, at]);
  const pinned = parsePlace(block);
  const pinnedIndex = pinned === null ? -1 : indexOf(layout, pinned.address, pinned.pid);
  const zoomBy = (levels: number, row: number) => {
    if (window.level === 0 && levels < 0) {
      if (window.segment !== null) goMore({ seg: null, zoom: null, at: null });
      return;
    }
    const next = zoomed(layout, window, levels, row);
    goMore({ zoom: next.level === 0 ? null : String(next.level), at: next.at === null ? null : placeText(next.at) });
  };
  const move = (rows: number) => {
    const place = moved(layout, window, rows);
    goMore({ at: place === null ? null : placeText(place) });
  };
  zoomByKey = zoomBy;
  return (
    <div class="two">
      <div ref={box} style={{ minWidth: 0 }}>
        {layout.count > 0 && (
          <>
            <div class="chips tight">
              <span>
                1 row = {bytes(window.rowBytes).replace(".0", "")}, 1 px = {bytes(window.rowBytes / width).replace(".0", "")}
                {window.segment !== null && `, one segment of ${bytes(window.segment.size)}`}
              </span>
              <span class="end">
                {(window.level > 0 || window.segment !== null) && (
                  <button type="button" onClick={() => goMore(WHOLE)}>
                    all of it
                  </button>
                )}
                {window.rowsInAll > window.rows && (
                  <>
                    <button type="button" aria-label="up" disabled={window.top === 0} onClick={() => move(-HALF_WINDOW)}>
                      ↑
                    </button>
                    <button type="button" aria-label="down" disabled={window.top + window.rows >= window.rowsInAll} onClick={() => move(HALF_WINDOW)}>
                      ↓
                    </button>
                  </>
                )}
                <button type="button" aria-label="zoom out" disabled={window.level === 0 && window.segment === null} onClick={() => zoomBy(-1, 0)}>
                  −
                </button>
                <button type="button" aria-label="zoom in" disabled={window.level === window.levelMax} onClick={() => zoomBy(1, 0)}>
                  +
                </button>
              </span>
            </div>
            <BlockCanvas layout={layout} segments={segments} scheme={scheme} window={window} width={width} time={table.time} pinnedIndex={pinnedIndex} onZoom={zoomBy} />
            <Magnifier layout={layout} scheme={scheme} pinnedIndex={pinnedIndex} width={width + LEFT_PX} />
          </>
        )}
        <WithoutAddresses opaque={layout.opaque} isAll={layout.count === 0} />
      </div>
      <aside class="side">
        <Sums layout={layout} scheme={scheme} kind={kind} ledger={ledger} isPart={pid !== null && ledger.processes.length > 1} time={table.time} />
        <Focused layout={layout} pinnedIndex={pinnedIndex} time={table.time} isGone={pinned !== null && pinnedIndex === -1} />
        {layout.count > 0 && <HolesCard layout={layout} ledger={ledger} time={table.time} />}
        {segments.length > 0 && <SegmentsCard layout={layout} segments={segments} chosen={window.segment} />}
      </aside>
    </div>
  );
}

function Focused({ layout, pinnedIndex, time, isGone }: { layout: BlockLayout; pinnedIndex: number; time: number; isGone: boolean }) {
  const index = hovered.value ?? (pinnedIndex === -1 ? null : pinnedIndex);
  if (index !== null && index < layout.count) return <BlockCard layout={layout} index={index} isPinned={index === pinnedIndex} time={time} />;
  if (layout.count === 0) return null;
  return (
    <section class="card block">
      <h2>Block</h2>
      <p class="soft small">{isGone ? "The pinned block is not held any more." : "Point at a block to see whose it is; click to keep it here. By keyboard: Tab to the map, then the arrow keys."}</p>
    </section>
  );
}

/** Who holds memory that has no place on a map, and why. */
function WithoutAddresses({ opaque, isAll }: { opaque: BlockLayout["opaque"]; isAll: boolean }) {
  if (opaque.length === 0) return null;
  const sum = opaque.reduce((total, one) => total + one.bytes, 0);
  if (!isAll) {
    return (
      <p class="small soft" style={{ marginTop: "8px" }}>
        <b>Not on the map</b>, since nobody told addresses:{" "}
        {opaque.slice(0, NAMED_MAX).map((one, index) => (
          <span key={index}>
            {index > 0 && "; "}
            {bytes(one.bytes)} of {processLabel(one.owner)} ({one.owner.reports ? "outside its allocator" : (one.reason ?? "no allocator reports")})
          </span>
        ))}
        {opaque.length > NAMED_MAX && `; and ${plural(opaque.length - NAMED_MAX, "other")}`}.
      </p>
    );
  }
  const reports = opaque.some((one) => one.owner.reports);
  return (
    <div class="card t-cross" style={{ padding: "60px 20px", textAlign: "center" }}>
      <span style={{ background: "var(--paper)", padding: "4px 10px" }}>
        {bytes(sum)}, no addresses: {reports ? "its allocator tells none" : `no allocator reports from ${opaque.length === 1 ? "this process. Start it" : "these processes. Start them"} with `}
        {!reports && <code>blackbox run -- …</code>}
      </span>
    </div>
  );
}

let zoomByKey: (levels: number, row: number) => void = () => undefined;

export const mapKeys: Readonly<Record<string, () => void>> = { w: () => zoomByKey(1, 0), s: () => zoomByKey(-1, 0) };
