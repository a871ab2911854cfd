import { expect, test } from "vitest";
import { NOTHING, type Pixels } from "../src/data/block_pixels";
import { PURPOSES, RANK } from "../src/data/purpose";
import { inksOf, mixed, raster, rgb, runsOf } from "../src/draw/map_pixels";
import { hasInk } from "../src/draw/texture";

const GROUND = { paper: "#ffffff", shade: "#e9edf1", hatch: "#7f8a96", out: "#7f8a96" };

function pixels(codes: number[], share = 1): Pixels {
  return { classes: Uint8Array.from(codes), shares: new Float32Array(codes.length).fill(share), edges: new Uint8Array(codes.length), hidden: 0 };
}

function at(words: Uint32Array, index: number): [number, number, number] {
  const word = words[index]!;
  return [word & 255, (word >> 8) & 255, (word >> 16) & 255];
}

test("live memory is painted in its colour, weaker where little of the pixel is live, and nothing is paper", () => {
  const weight = RANK.get("weight")!;
  const inks = inksOf(PURPOSES, GROUND, false);
  const full = raster(pixels([weight, NOTHING]), 2, inks, GROUND.paper);
  expect(at(full.words, 0)).toEqual(rgb("#214d90"));
  expect(at(full.words, 1)).toEqual([255, 255, 255]);
  const weak = raster(pixels([weight], 0.1), 1, inks, GROUND.paper);
  expect(at(weak.words, 0)).toEqual(mixed("#214d90", "#ffffff", 0.3));
});

test("what is held without use is a texture of two colours and never a plain one", () => {
  const cached = RANK.get("cached")!;
  const picture = raster(pixels(new Array<number>(12).fill(cached), 0), 12, inksOf(PURPOSES, GROUND, false), GROUND.paper);
  expect(new Set(picture.words.slice(0, 12)).size).toBe(2);
});

test("a colour reads the same however short it is written", () => {
  expect(rgb("#fff")).toEqual([255, 255, 255]);
  expect(rgb("#1a9")).toEqual(rgb("#11aa99"));
});

test("rows stand one below the other with a line between", () => {
  const picture = raster(pixels([0, 0, 0, 0]), 2, inksOf(PURPOSES, GROUND, false), GROUND.paper);
  expect([picture.width, picture.height]).toEqual([2, 20]);
  expect(at(picture.words, 2 * 9)).toEqual([255, 255, 255]);
});

test("a run ends with its row", () => {
  expect(runsOf(pixels([1, 1, 1, 1, 2, 2]), 3, 2)).toEqual([
    { row: 0, x: 0, width: 3, code: 1 },
    { row: 1, x: 1, width: 2, code: 2 },
  ]);
});

test("every texture has ink and ground in each tile, and they differ from one another", () => {
  const textures = new Set(PURPOSES.map((purpose) => purpose.texture).filter((texture) => texture !== null && texture !== "outline"));
  const drawn = [...textures].map((texture) => Array.from({ length: 144 }, (_, index) => hasInk(texture!, index % 12, Math.floor(index / 12))).join());
  for (const one of drawn) expect(one).toMatch(/true.*false|false.*true/);
  expect(new Set(drawn).size).toBe(textures.size);
});
