/** What memory is for: the one table of names, letters, order, and how each is drawn. */

import type { BlockType } from "./answers";

/** Colours are live bytes; textures are bytes held but not live, or not known. */
export type Texture = "stripes" | "hatch" | "outline" | "horizontal" | "cross" | "dots" | "vertical";

export interface Purpose {
  key: string;
  name: string;
  letter: string;
  /** Fill and letter on it, by theme; for a texture the colour its lines borrow. */
  light: string;
  dark: string;
  lightInk: string;
  darkInk: string;
  texture: Texture | null;
}

const WHITE = "#ffffff";
const DARK = "#14181d";

function live(key: string, name: string, letter: string, light: string, dark: string, inks: [string, string]): Purpose {
  return { key, name, letter, light, dark, lightInk: inks[0], darkInk: inks[1], texture: null };
}

function textured(key: string, name: string, texture: Texture, light: string, dark: string): Purpose {
  return { key, name, letter: "", light, dark, lightInk: "#1c2128", darkInk: "#e4e8ec", texture };
}

/** In the order in which they stand in every bar and band, the steadiest first. */
export const PURPOSES = [
  live("weight", "weights", "W", "#214d90", "#2c69cc", [WHITE, WHITE]),
  live("gradient", "gradients", "G", "#9886e8", "#dab0fc", [DARK, DARK]),
  live("optimizer", "optimizer state", "O", "#9a4d69", "#915075", [WHITE, WHITE]),
  live("activation", "activations", "A", "#d87e06", "#d58617", [DARK, DARK]),
  live("kv_used", "KV cache in use", "K", "#099a97", "#67c5b3", [DARK, DARK]),
  live("communication", "communication", "C", "#595c01", "#6d671b", [WHITE, WHITE]),
  live("workspace", "workspace, graph pools", "S", "#829c74", "#d3d891", [DARK, DARK]),
  live("other", "other", "x", "#584234", "#9c7f75", [WHITE, DARK]),
  textured("kv_cached", "KV cache, cached", "stripes", "#099a97", "#67c5b3"),
  textured("outside", "outside the allocator", "horizontal", "#7f8a96", "#75818d"),
  textured("cached", "free in cache", "hatch", "#7f8a96", "#7d8894"),
  textured("opaque", "not measured", "cross", "#7f8a96", "#75818d"),
  textured("unattributed", "unattributed", "dots", "#7f8a96", "#75818d"),
  textured("free", "free on GPU", "outline", "#ffffff", "#14181d"),
  textured("driver", "driver", "vertical", "#55606c", "#a3adb8"),
] as const satisfies readonly Purpose[];

export const PURPOSE_OF: ReadonlyMap<string, Purpose> = new Map(PURPOSES.map((purpose) => [purpose.key, purpose]));
export const RANK: ReadonlyMap<string, number> = new Map(PURPOSES.map((purpose, index) => [purpose.key, index]));
export const LIVE_COUNT = 8;
/** The colours of rows that are no purposes (processes, stacks) where a view says so. */
export const ROW_COLOURS = PURPOSES.slice(0, LIVE_COUNT);

/** Ages of blocks, the youngest first: one ramp from orange to blue, each darker than the one before (in the dark theme: less bright). */
export const AGES: readonly Purpose[] = [
  live("age_1", "under 10 s", "1", "#d87e06", "#ffd27a", [DARK, DARK]),
  live("age_2", "10 s to 1 min", "2", "#ae5d26", "#e0a765", [WHITE, DARK]),
  live("age_3", "1 to 10 min", "3", "#904c48", "#c08069", [WHITE, DARK]),
  live("age_4", "10 min to 1 h", "4", "#683a5c", "#a9748d", [WHITE, DARK]),
  live("age_5", "1 h to 1 day", "5", "#3f2d66", "#7f69a5", [WHITE, WHITE]),
  live("age_6", "over 1 day", "6", "#1a2250", "#5a67b4", [WHITE, WHITE]),
];

interface Use {
  type: BlockType;
  subtype?: string | null | undefined;
  allocated: boolean;
  utilized: boolean;
}

const SUBTYPES: Readonly<Record<string, string>> = {
  gradient: "gradient",
  optimizer: "optimizer",
  communication: "communication",
  workspace: "workspace",
  graph_pool: "workspace",
};

/**
 * The purpose of a block, or of a group of them. `reports` says whether an allocator tells of the process at all: an
 * opaque block is what lies outside the allocator where one does, and all that is known where none does.
 */
export function purposeOf(use: Use, reports: boolean): Purpose {
  return PURPOSE_OF.get(keyOf(use, reports))!;
}

function keyOf({ type, subtype, allocated, utilized }: Use, reports: boolean): string {
  if (subtype === "opaque") return reports ? "outside" : "opaque";
  if (type === "kv_cache") return utilized ? "kv_used" : allocated ? "kv_cached" : "cached";
  if (!allocated) return "cached";
  const finer = subtype === null || subtype === undefined ? undefined : SUBTYPES[subtype];
  if (finer !== undefined) return finer;
  return type === "weight" || type === "activation" ? type : "other";
}

/** Of live memory by type and subtype alone, as stacks and comparisons tell it. */
export function purposeOfType(type: BlockType, subtype: string | null | undefined, reports = true): Purpose {
  return purposeOf({ type, subtype, allocated: true, utilized: true }, reports);
}
