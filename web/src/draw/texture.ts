/** Fills of canvases, as the style sheet draws them for boxes. Made once for each theme. */

import type { Purpose, Texture } from "../data/purpose";

export interface Ground {
  paper: string;
  shade: string;
  hatch: string;
  out: string;
}

/** Tiles repeat every so many px, so that the step of every texture divides it. */
export const TILE = 12;

/** Whether the pixel of a texture has ink. */
export function hasInk(texture: Texture, x: number, y: number): boolean {
  switch (texture) {
    case "stripes":
      return (x + y) % 6 < 3;
    case "hatch":
      return (x + y) % 6 === 0;
    case "horizontal":
      return y % 4 < 2;
    case "cross":
      return (x + y) % 6 === 0 || (x - y + TILE * 1000) % 6 === 0;
    case "dots":
      return x % 4 === 1 && y % 4 === 1;
    case "vertical":
      return x % 4 < 2;
    case "outline":
      return false;
  }
}

/** Ink and ground of a texture. */
export function coloursOf(purpose: Purpose, ground: Ground, isDark: boolean): { ink: string; behind: string } {
  const own = isDark ? purpose.dark : purpose.light;
  const ink = purpose.texture === "hatch" ? ground.hatch : purpose.texture === "stripes" || purpose.texture === "vertical" ? own : ground.out;
  return { ink, behind: purpose.texture === "hatch" ? ground.shade : ground.paper };
}

const fills = new Map<string, CanvasPattern | string>();

export function fillOf(context: CanvasRenderingContext2D, purpose: Purpose, ground: Ground, isDark: boolean): CanvasPattern | string {
  if (purpose.texture === null) return isDark ? purpose.dark : purpose.light;
  const key = `${purpose.key}/${isDark}`;
  const known = fills.get(key);
  if (known !== undefined) return known;
  const tile = document.createElement("canvas");
  tile.width = tile.height = TILE;
  const brush = tile.getContext("2d")!;
  const { ink, behind } = coloursOf(purpose, ground, isDark);
  brush.fillStyle = behind;
  brush.fillRect(0, 0, TILE, TILE);
  brush.fillStyle = ink;
  for (let y = 0; y < TILE; y++) {
    for (let x = 0; x < TILE; x++) if (hasInk(purpose.texture, x, y)) brush.fillRect(x, y, 1, 1);
  }
  const pattern = context.createPattern(tile, "repeat") ?? ink;
  fills.set(key, pattern);
  return pattern;
}
