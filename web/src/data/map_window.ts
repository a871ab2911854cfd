/** Which part of a map is shown, and its places as the address of the page names them. Pure. */

import { addressAt, type BlockLayout, positionAt, ROWS_MAX, rowBytesOf, type Segment } from "./block_layout";

/** Below 64 KiB a row a pixel is less than any block. */
const ROW_BYTES_MIN = 2 ** 16;

export interface MapWindow {
  /** Position of the first row shown. */
  from: number;
  rowBytes: number;
  rows: number;
  /** Doublings from the whole. */
  level: number;
  levelMax: number;
  /** First row shown, of those there are at this level. */
  top: number;
  rowsInAll: number;
  /** What may be looked at: the whole, or one segment. */
  begin: number;
  segment: Segment | null;
}

/** A place in the memory of a process. */
export interface Place {
  pid: number;
  address: number;
}

export function placeText({ pid, address }: Place): string {
  return `${pid}-${address.toString(16)}`;
}

/** Null for what is no place. */
export function parsePlace(text: string | undefined): Place | null {
  const [, pid, address] = /^(\d+)-([0-9a-f]+)$/.exec(text ?? "") ?? [];
  return pid === undefined || address === undefined ? null : { pid: Number(pid), address: Number.parseInt(address, 16) };
}

function ownerOf(layout: BlockLayout, pid: number): number {
  return layout.owners.findIndex((owner) => owner.pid === pid);
}

function positionOf(layout: BlockLayout, { pid, address }: Place): number | null {
  const owner = ownerOf(layout, pid);
  return positionAt({ ...layout, ranges: layout.ranges.filter((range) => range.owner === owner) }, address);
}

/** The window that an address names: a segment or everything, at a level, from a place on. */
export function windowOf(layout: BlockLayout, segments: readonly Segment[], of: { segment: Place | null; level: number; at: Place | null }): MapWindow {
  const owner = of.segment === null ? -1 : ownerOf(layout, of.segment.pid);
  const segment = segments.find((one) => one.owner === owner && one.address === of.segment?.address) ?? null;
  const [begin, size, whole] = segment === null ? [0, layout.end, layout.rowBytes] : [segment.position, segment.size, rowBytesOf(segment.size)];
  const levelMax = Math.max(0, Math.log2(whole / ROW_BYTES_MIN));
  const level = Math.min(levelMax, Math.max(0, Math.round(of.level)));
  const rowBytes = whole / 2 ** level;
  const rowsInAll = Math.ceil(size / rowBytes);
  const place = of.at === null ? null : positionOf(layout, of.at);
  const wanted = place === null ? 0 : Math.floor((place - begin) / rowBytes);
  const top = Math.min(Math.max(0, wanted), Math.max(0, rowsInAll - ROWS_MAX));
  return { from: begin + top * rowBytes, rowBytes, rows: Math.min(ROWS_MAX, rowsInAll - top), level, levelMax, top, rowsInAll, begin, segment };
}

/** The place that stands at a position, or the nearest before it. */
export function placeAt(layout: BlockLayout, position: number): Place | null {
  const range = layout.ranges.findLast((one) => one.position <= position) ?? layout.ranges[0];
  if (range === undefined) return null;
  const inside = Math.min(Math.max(position, range.position), range.position + range.size - 1);
  return { pid: layout.owners[range.owner]!.pid, address: addressAt(layout, inside) ?? range.address };
}

/** Zooms by levels so that row `row` of the window stays where it is; `at` is null at the top. */
export function zoomed(layout: BlockLayout, window: MapWindow, levels: number, row: number): { level: number; at: Place | null } {
  const level = Math.min(window.levelMax, Math.max(0, window.level + levels));
  const top = Math.floor((window.top + row) * 2 ** (level - window.level) - row);
  return { level, at: level === 0 || top <= 0 ? null : placeAt(layout, window.begin + (top * window.rowBytes) / 2 ** (level - window.level)) };
}

/** Where the window begins after it is moved by rows. */
export function moved(layout: BlockLayout, window: MapWindow, rows: number): Place | null {
  const top = window.top + rows;
  return top <= 0 ? null : placeAt(layout, window.begin + top * window.rowBytes);
}

export interface PixelBox {
  row: number;
  x: number;
  width: number;
}

/** The rows that bytes lie on, among those shown. */
export function boxesOf(window: MapWindow, start: number, size: number, width: number): PixelBox[] {
  const { from, rowBytes, rows } = window;
  const [left, right] = [start - from, start - from + size];
  const boxes: PixelBox[] = [];
  for (let row = Math.max(0, Math.floor(left / rowBytes)); row < rows && row * rowBytes < right; row++) {
    const x = Math.max(0, left / rowBytes - row) * width;
    boxes.push({ row, x, width: Math.min(1, right / rowBytes - row) * width - x });
  }
  return boxes;
}
