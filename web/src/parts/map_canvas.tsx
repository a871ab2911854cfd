/** The map itself: blocks by address on rows, one under the pointer, and its surroundings enlarged. */

import { batch, signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type BlockDetail, detailOf } from "../data/block_columns";
import { blockAt, type BlockLayout, type Segment } from "../data/block_layout";
import { holesOf, summarize } from "../data/block_pixels";
import type { Scheme } from "../data/colouring";
import { bytes, counted, duration, plural } from "../data/format";
import { processLabel } from "../data/ledger";
import { boxesOf, type MapWindow, placeAt, placeText } from "../data/map_window";
import { goMore } from "../data/store";
import { ground, isDark, token } from "../data/theme";
import { Canvas, positionOf } from "../draw/canvas";
import { drawPicture, drawRow, inksOf, raster, ROW_STEP, runsOf } from "../draw/map_pixels";
import { Swatch } from "./basics";

export const LEFT_PX = 50;
const LETTER_PX = 70;
const MAGNIFIED_PX = 26;
/** Width of the surroundings, in blocks of the size of the one in the middle. */
const MAGNIFIED_BLOCKS = 6;
const LABEL_ROWS = 5;
const CARD_PX = 280;

/** Where the pointer is over the map, in px; null where it is elsewhere. */
const pointer = signal<{ x: number; y: number } | null>(null);
/** Index of the block under the pointer. */
export const hovered = signal<number | null>(null);

interface CanvasProps {
  layout: BlockLayout;
  segments: readonly Segment[];
  scheme: Scheme;
  window: MapWindow;
  width: number;
  time: number;
  pinnedIndex: number;
  onZoom: (levels: number, row: number) => void;
}

/** Follows the pointer, once a frame: where it is is asked before anything has changed, which would have the page laid out. */
function useHover(indexAt: (x: number, y: number) => number | null, of: readonly unknown[]) {
  const newest = useRef(indexAt);
  newest.current = indexAt;
  const frame = useRef(0);
  const follow = (place: { x: number; y: number } | null) =>
    batch(() => {
      pointer.value = place;
      hovered.value = place === null ? null : newest.current(place.x, place.y);
    });
  // what lies under a pointer that rests is another block when the blocks have moved
  useLayoutEffect(() => {
    follow(pointer.peek());
  }, of);
  useEffect(() => () => (cancelAnimationFrame(frame.current), follow(null)), []);
  return {
    onPointerMove: ({ currentTarget, clientX, clientY }: PointerEvent) => {
      cancelAnimationFrame(frame.current);
      frame.current = requestAnimationFrame(() => follow(positionOf({ currentTarget, clientX, clientY })));
    },
    onPointerLeave: () => {
      cancelAnimationFrame(frame.current);
      follow(null);
    },
  };
}

export function BlockCanvas({ layout, segments, scheme, window, width, time, pinnedIndex, onZoom }: CanvasProps) {
  const dark = isDark.value;
  const perPixel = window.rowBytes / width;
  const pixels = useMemo(() => summarize(layout, window.from, perPixel, window.rows * width, scheme), [layout, window, perPixel, scheme]);
  const picture = useMemo(() => raster(pixels, width, inksOf(scheme.inks, ground(), dark), token("paper")), [pixels, width, scheme, dark]);
  const largest = useMemo(() => holesOf(layout).largest, [layout]);

  const indexAt = (x: number, y: number) => {
    if (x < LEFT_PX || x >= LEFT_PX + width) return null;
    return blockAt(layout, window.from + Math.floor(y / ROW_STEP) * window.rowBytes + (x - LEFT_PX) * perPixel);
  };
  const indexUnder = (event: MouseEvent) => {
    const { x, y } = positionOf(event);
    return indexAt(x, y);
  };
  const hover = useHover(indexAt, [layout, window, width]);
  const pin = (index: number | null) => goMore({ block: index === null ? null : placeText({ pid: layout.owners[layout.ownerOf[index]!]!.pid, address: layout.addresses[index]! }) });
  const focused = () => hovered.peek() ?? (pinnedIndex === -1 ? null : pinnedIndex);
  const step = (by: number) => {
    const from = focused() ?? blockAt(layout, window.from) ?? 0;
    const next = Math.min(layout.count - 1, Math.max(0, from + (focused() === null ? 0 : by)));
    hovered.value = null;
    pin(next);
    const isShown = boxesOf(window, layout.positions[next]!, layout.sizes[next]!, width).length > 0;
    const place = isShown ? null : placeAt(layout, layout.positions[next]!);
    if (place !== null) goMore({ at: placeText(place) });
  };
  return (
    <div class="map">
      <Canvas
        label={`map of ${plural(layout.count, "block")} by address; arrow keys go from block to block`}
        role="application"
        on="paper"
        height={window.rows * ROW_STEP}
        of={[picture, segments, largest, window]}
        attributes={{
          tabIndex: 0,
          ...hover,
          onClick: (event) => pin(indexUnder(event)),
          onDblClick: (event) => {
            const index = indexUnder(event);
            if (index !== null) zoomToSegment(layout, index);
          },
          onWheel: (event) => {
            event.preventDefault();
            onZoom(event.deltaY < 0 ? 1 : -1, Math.floor(positionOf(event).y / ROW_STEP));
          },
          onKeyDown: (event) => {
            const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
            const index = focused();
            if (event.key === "Enter" && index !== null) zoomToSegment(layout, index);
            else if (by !== undefined) step(by);
            else return;
            event.preventDefault();
            event.stopPropagation();
          },
        }}
        draw={(context) => {
          drawPicture(context, picture, LEFT_PX, 0);
          drawLabels(context, layout, window);
          drawSegments(context, segments, window, width);
          context.font = "650 9px system-ui, sans-serif";
          context.textAlign = "left";
          for (const run of runsOf(pixels, width, LETTER_PX)) {
            const ink = scheme.inks[run.code]!;
            if (ink.letter === "") continue;
            context.fillStyle = dark ? ink.darkInk : ink.lightInk;
            context.fillText(ink.letter, LEFT_PX + run.x + 5, run.row * ROW_STEP + 8);
          }
          if (largest !== null) drawHole(context, layout, largest.index, largest.bytes, window, width);
        }}
      />
      <Outlined layout={layout} window={window} width={width} time={time} pinnedIndex={pinnedIndex} />
      <p class="small soft" style={{ marginTop: "8px" }}>
        <b>How to read.</b> By address, left to right, then down; a row’s end is no gap.{segments.length > 0 && " A full-height tick begins a segment, which the driver gave in one piece; a double-click shows it alone."} A pixel
        takes the colour of what fills most of it, as strong as its share in use (4 steps). {plural(pixels.hidden, "block")} of {counted(layout.count)} {pixels.hidden === 1 ? "is" : "are"} smaller than a
        pixel{pixels.hidden > 0 && ": zoom in (wheel, or W) to see them"}.
        {layout.ranges.length > layout.owners.length && ` Addresses without memory are cut ${plural(layout.ranges.length - layout.owners.length, "time")}.`}
      </p>
    </div>
  );
}

/** The pinned block and the one under the pointer: boxes over the map, which then stays as it was drawn. */
function Outlined({ layout, window, width, time, pinnedIndex }: Pick<CanvasProps, "layout" | "window" | "width" | "time" | "pinnedIndex">) {
  const over = hovered.value !== null && hovered.value < layout.count ? hovered.value : null;
  const place = pointer.value;
  return (
    <>
      {pinnedIndex !== -1 && <Outline layout={layout} index={pinnedIndex} window={window} width={width} kind="pinned" />}
      {over !== null && <Outline layout={layout} index={over} window={window} width={width} kind="over" />}
      {place !== null && over !== null && (
        <div class="card-hover" style={{ transform: `translate(${Math.round(Math.max(0, Math.min(place.x + 14, width + LEFT_PX - CARD_PX)))}px, ${Math.round(place.y + 16)}px)` }}>
          <HoverLines block={detailOf(layout, over)} time={time} />
        </div>
      )}
      <p class="visually-hidden" aria-live="polite">
        {over === null && pinnedIndex !== -1 && describe(detailOf(layout, pinnedIndex), time)}
      </p>
    </>
  );
}

function Outline({ layout, index, window, width, kind }: { layout: BlockLayout; index: number; window: MapWindow; width: number; kind: "pinned" | "over" }) {
  return (
    <>
      {boxesOf(window, layout.positions[index]!, layout.sizes[index]!, width).map((box) => (
        <i key={box.row} class={`outline ${kind}`} style={{ width: `${Math.max(2, box.width) + 2}px`, transform: `translate(${LEFT_PX + box.x - 1}px, ${box.row * ROW_STEP - 1.5}px)` }} />
      ))}
    </>
  );
}

/** Shows nothing but the segment of a block, where one is told. */
export function zoomToSegment(layout: BlockLayout, index: number): void {
  const { segment, owner } = detailOf(layout, index);
  if (segment !== null) goMore({ seg: placeText({ pid: owner.pid, address: segment }), zoom: null, at: null });
}

function describe(block: BlockDetail, time: number): string {
  const age = block.allocatedAt === null ? "age not told" : `${duration(time - block.allocatedAt)} old`;
  return `${block.purpose.name}, ${bytes(block.size)}, ${processLabel(block.owner)}, ${age}, ${block.stack?.frames[0] ?? "no stack told"}, at 0x${block.address.toString(16)}`;
}

/** Offsets down the side; where several processes stand below one another, each begins with its pid. */
function drawLabels(context: CanvasRenderingContext2D, layout: BlockLayout, { begin, top, rows, rowBytes, segment }: MapWindow): void {
  context.textAlign = "right";
  const isOne = layout.owners.length === 1 || segment !== null;
  const firsts = new Map<number, number>();
  for (const range of layout.ranges) if (!firsts.has(range.owner)) firsts.set(range.owner, range.position);
  const named = new Set<number>();
  if (!isOne) {
    for (const [owner, position] of firsts) {
      const row = Math.floor((position - begin) / rowBytes) - top;
      if (row < 0 || row >= rows) continue;
      named.add(row);
      context.fillStyle = token("ink");
      context.font = "650 11px system-ui, sans-serif";
      context.fillText(String(layout.owners[owner]!.pid), LEFT_PX - 5, row * ROW_STEP + 9);
    }
  }
  context.fillStyle = token("soft");
  context.font = "11px system-ui, sans-serif";
  for (let row = 0; row < rows; row += LABEL_ROWS) {
    if (named.has(row) || named.has(row - 1) || named.has(row + 1)) continue;
    const position = (top + row) * rowBytes;
    const start = isOne ? 0 : Math.max(0, ...[...firsts.values()].filter((one) => one <= position));
    const text = bytes(position - start).replace(".0", "");
    context.fillText(text === "0 B" ? "0" : text, LEFT_PX - 5, row * ROW_STEP + 9);
  }
}

/** A full-height tick where a segment begins. */
function drawSegments(context: CanvasRenderingContext2D, segments: readonly Segment[], { from, rowBytes, rows }: MapWindow, width: number): void {
  context.fillStyle = token("ink");
  let last = -1;
  for (const { position } of segments) {
    const row = Math.floor((position - from) / rowBytes);
    if (row < 0 || row >= rows) continue;
    const x = Math.round(((position - from) / rowBytes - row) * width);
    if (row * width + x === last) continue;
    last = row * width + x;
    context.fillRect(LEFT_PX + x - 0.5, row * ROW_STEP - 1, 1.5, ROW_STEP + 1);
  }
}

/** The largest free piece, outlined, and named where there is room. */
function drawHole(context: CanvasRenderingContext2D, layout: BlockLayout, index: number, size: number, window: MapWindow, width: number): void {
  const boxes = boxesOf(window, layout.positions[index]!, layout.sizes[index]!, width);
  context.strokeStyle = token("ink");
  context.lineWidth = 1;
  context.setLineDash([4, 3]);
  for (const box of boxes) context.strokeRect(LEFT_PX + box.x, box.row * ROW_STEP - 0.5, Math.max(2, box.width), ROW_STEP);
  context.setLineDash([]);
  const part = boxes.toSorted((a, b) => b.width - a.width)[0];
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

/** Who, size, purpose, age, stack: at most six lines. */
function HoverLines({ block, time }: { block: BlockDetail; time: number }) {
  return (
    <>
      <div>
        <Swatch purpose={block.purpose} /> <b>{block.purpose.name}</b>, {bytes(block.size)}
      </div>
      <div>{processLabel(block.owner)}</div>
      {block.allocatedAt !== null && <div>allocated {duration(time - block.allocatedAt)} ago</div>}
      {block.stack !== null && <div class="mono cut">{block.stack.frames.slice(0, 2).join(" ‹ ")}</div>}
      <div class="mono soft">0x{block.address.toString(16)}</div>
    </>
  );
}

export function Magnifier({ layout, scheme, pinnedIndex, width }: { layout: BlockLayout; scheme: Scheme; pinnedIndex: number; width: number }) {
  const wanted = hovered.value ?? (pinnedIndex === -1 ? 0 : pinnedIndex);
  const at = Math.min(wanted, layout.count - 1);
  const size = layout.sizes[at]!;
  const perPixel = Math.max(64, (size * MAGNIFIED_BLOCKS) / width);
  const from = Math.max(0, layout.positions[at]! + size / 2 - (perPixel * width) / 2);
  const of = hovered.value !== null ? "the block under the pointer" : pinnedIndex === -1 ? "the first block" : "the pinned block";
  return (
    <figure style={{ marginTop: "10px" }}>
      <figcaption class="head">
        <h2>Magnifier</h2>
        <small class="soft">around {of}</small>
        <small class="soft" style={{ marginLeft: "auto" }}>
          1 px = {bytes(perPixel).replace(".0", "")}
        </small>
      </figcaption>
      <Canvas
        label={`the blocks around ${of}, enlarged`}
        height={MAGNIFIED_PX}
        on="paper"
        of={[layout, scheme, from, perPixel, width]}
        draw={(context) => {
          drawRow(context, summarize(layout, from, perPixel, width, scheme), MAGNIFIED_PX, scheme.inks, ground(), isDark.peek());
          context.strokeStyle = token("ink");
          context.lineWidth = 2;
          context.strokeRect((layout.positions[at]! - from) / perPixel, 1, size / perPixel, MAGNIFIED_PX - 2);
        }}
      />
    </figure>
  );
}
