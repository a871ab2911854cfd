/** Turns summed-up pixels into an image: colours at their strength, textures, edges. */

import { NOTHING, type Pixels, STRENGTHS, strengthStep } from "../data/block_pixels";
import type { Purpose, Texture } from "../data/purpose";
import { coloursOf, fillOf, type Ground, hasInk, TILE } from "./texture";

export const ROW_PX = 9;
export const ROW_STEP = 10;

interface Ink {
  /** The pixels of a texture, a tile of them; null for a plain colour. */
  tile: Uint32Array | null;
  /** The colour at 30, 55, 78 and 100 % on paper. */
  steps: readonly number[];
}

/** Red, green, blue of "#rrggbb", or "#rgb", which is what a style sheet is shortened to. */
export function rgb(hex: string): [number, number, number] {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  const value = Number.parseInt(digits, 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function word([red, green, blue]: readonly [number, number, number]): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** `strength` of one colour on another. */
export function mixed(colour: string, ground: string, strength: number): [number, number, number] {
  const [over, under] = [rgb(colour), rgb(ground)];
  return [0, 1, 2].map((channel) => Math.round(over[channel]! * strength + under[channel]! * (1 - strength))) as [number, number, number];
}

/** Inks of a list of purposes, by their index. */
export function inksOf(purposes: readonly Purpose[], ground: Ground, isDark: boolean): Ink[] {
  return purposes.map((purpose) => {
    const own = isDark ? purpose.dark : purpose.light;
    const steps = STRENGTHS.map((strength) => word(mixed(own, ground.paper, strength)));
    return { tile: purpose.texture === null ? null : tileOf(purpose, purpose.texture, ground, isDark), steps };
  });
}

function tileOf(purpose: Purpose, texture: Texture, ground: Ground, isDark: boolean): Uint32Array {
  const colours = coloursOf(purpose, ground, isDark);
  const [ink, behind] = [word(rgb(colours.ink)), word(rgb(colours.behind))];
  return Uint32Array.from({ length: TILE * TILE }, (_, at) => (hasInk(texture, at % TILE, Math.floor(at / TILE)) ? ink : behind));
}

export interface Picture {
  width: number;
  height: number;
  words: Uint32Array;
}

/** Rows of pixels, each `rowHeight` high with `gap` below, on paper. */
export function raster(pixels: Pixels, width: number, inks: readonly Ink[], paper: string, rowHeight = ROW_PX, gap = ROW_STEP - ROW_PX): Picture {
  const rows = Math.ceil(pixels.classes.length / width);
  const step = rowHeight + gap;
  const edge = word(rgb(paper));
  const words = new Uint32Array(width * rows * step).fill(edge);
  const { classes, shares, edges } = pixels;
  for (let row = 0; row < rows; row++) {
    const first = row * width;
    const count = Math.min(width, classes.length - first);
    const top = row * step * width;
    // plain colours are put on one line, which is then copied; a texture differs from line to line
    let isTextured = false;
    for (let x = 0; x < count; x++) {
      const code = classes[first + x]!;
      if (code === NOTHING) continue;
      const ink = inks[code]!;
      if (ink.tile !== null) isTextured = true;
      else words[top + x] = edges[first + x] === 1 ? edge : ink.steps[strengthStep(shares[first + x]!)]!;
    }
    for (let line = 1; line < rowHeight; line++) words.copyWithin(top + line * width, top, top + count);
    if (isTextured) texture(words, classes.subarray(first, first + count), top, row * step, width, rowHeight, inks);
  }
  return { width, height: rows * step, words };
}

/** Puts the tiles of textures on one row of pixels that begins at `top` of the picture, `y` lines down. */
function texture(words: Uint32Array, classes: Uint8Array, top: number, y: number, width: number, rowHeight: number, inks: readonly Ink[]): void {
  for (let x = 0; x < classes.length; x++) {
    const tile = classes[x] === NOTHING ? null : inks[classes[x]!]!.tile;
    if (tile === null) continue;
    for (let line = 0; line < rowHeight; line++) words[top + line * width + x] = tile[((y + line) % TILE) * TILE + (x % TILE)]!;
  }
}

export interface Run {
  row: number;
  x: number;
  width: number;
  code: number;
}

/** Runs of one class on one row that are at least `least` wide: long enough for a letter. */
export function runsOf(pixels: Pixels, width: number, least: number): Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < pixels.classes.length; ) {
    const code = pixels.classes[start]!;
    const rowEnd = (Math.floor(start / width) + 1) * width;
    let end = start + 1;
    while (end < rowEnd && pixels.classes[end] === code) end++;
    if (code !== NOTHING && end - start >= least) runs.push({ row: Math.floor(start / width), x: start % width, width: end - start, code });
    start = end;
  }
  return runs;
}

/** Draws one row of pixels, `height` high, run by run: less than a picture costs where runs are long. */
export function drawRow(context: CanvasRenderingContext2D, pixels: Pixels, height: number, purposes: readonly Purpose[], ground: Ground, isDark: boolean): void {
  const { classes, shares, edges } = pixels;
  for (let start = 0; start < classes.length; ) {
    const code = classes[start]!;
    const step = strengthStep(shares[start]!);
    let end = start + 1;
    while (end < classes.length && classes[end] === code && edges[end] === 0 && strengthStep(shares[end]!) === step) end++;
    if (code !== NOTHING) {
      const purpose = purposes[code]!;
      const hasEdge = edges[start] === 1 && purpose.texture === null;
      context.fillStyle = fillOf(context, purpose, ground, isDark);
      context.globalAlpha = purpose.texture === null ? STRENGTHS[step] : 1;
      context.fillRect(hasEdge ? start + 1 : start, 0, end - start - (hasEdge ? 1 : 0), height);
    }
    start = end;
  }
  context.globalAlpha = 1;
}

/** Pictures as the browser draws them, so that one which stays is not copied again for each frame. */
const drawn = new WeakMap<Picture, OffscreenCanvas>();

/** Draws a picture at a place, one of its pixels a CSS px. */
export function drawPicture(context: CanvasRenderingContext2D, picture: Picture, x = 0, y = 0): void {
  if (picture.height === 0) return;
  let buffer = drawn.get(picture);
  if (buffer === undefined) {
    buffer = new OffscreenCanvas(picture.width, picture.height);
    const bytes = new Uint8ClampedArray(picture.words.buffer as ArrayBuffer);
    buffer.getContext("2d")!.putImageData(new ImageData(bytes, picture.width, picture.height), 0, 0);
    drawn.set(picture, buffer);
  }
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, x, y);
}
