/** What the server knows of a process, in the columns of the health view. Pure. */

import type { ProcessCoverage } from "./answers";

export interface Topic {
  name: string;
  /** What the server tells of it. */
  keys: readonly string[];
}

export const TOPICS: readonly Topic[] = [
  { name: "bytes", keys: ["used"] },
  { name: "blocks", keys: ["reserved", "blocks", "segments", "times"] },
  { name: "stacks", keys: ["stacks"] },
  { name: "threads", keys: ["threads"] },
  { name: "kernels", keys: ["kernels"] },
];

/** Told, in part, or not. */
export function shareTold({ told }: ProcessCoverage, { keys }: Topic): "●" | "◐" | "○" {
  const count = keys.filter((key) => told.includes(key)).length;
  return count === keys.length ? "●" : count === 0 ? "○" : "◐";
}

/** Why not, each reason once, with all that it is the reason of. */
export function reasonsOf({ missing }: ProcessCoverage, keys: readonly string[] = Object.keys(missing)): readonly (readonly [readonly string[], string])[] {
  const found = new Map<string, string[]>();
  for (const key of keys) {
    const reason = missing[key];
    if (reason !== undefined) found.set(reason, [...(found.get(reason) ?? []), key]);
  }
  return [...found].map(([reason, names]) => [names, reason] as const);
}
