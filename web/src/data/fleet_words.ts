/** How much of a fleet an answer is of, and whose a process is, in words. Pure. */

import type { Attribution, Cover } from "./fleet_answers";
import { counted, plural } from "./format";

/** Of machines that are late or unknown; the list of machines has more. */
const HOSTS_NAMED_MAX = 5;

export interface CoverText {
  tone: "soft" | "warn" | "alarm";
  /** Stands beside the colour. */
  shape: "●" | "◐" | "✕";
  sentences: readonly string[];
}

/** What a reader has to know before he trusts a sum. */
export function coverText(cover: Cover): CoverText {
  const told = [`${counted(cover.fresh)} fresh`];
  if (cover.late > 0) told.push(`${counted(cover.late)} late (${hosts(cover.late_hosts, cover.late)})`);
  if (cover.unknown > 0) told.push(`${counted(cover.unknown)} unknown (${hosts(cover.unknown_hosts, cover.unknown)})`);
  const sentences = [`${plural(cover.machines, "machine")}: ${told.join(", ")}.`];
  const twice = cover.twice_hosts ?? [];
  if (twice.length > 0) sentences.push(`Told of twice, and counted once: ${hosts(twice, twice.length)}.`);
  const missing = cover.missing_shards;
  if (missing.length > 0) {
    sentences.push(`${missing.length} of ${cover.shards ?? "?"} shards did not answer: ${missing.join(", ")}. Their machines are not counted, and in no sum here.`);
    return { tone: "alarm", shape: "✕", sentences };
  }
  return { tone: cover.whole ? "soft" : "warn", shape: cover.whole ? "●" : "◐", sentences };
}

function hosts(names: readonly string[], count: number): string {
  const named = names.slice(0, HOSTS_NAMED_MAX);
  return count > named.length ? `${named.join(", ")} and ${counted(count - named.length)} more` : named.join(", ");
}

/** Job, pod or user, whichever is known first, in the words of the server; null where nobody told. */
export function workloadOf(of: Attribution): string | null {
  if (of.slurm_job !== null) return `slurm ${of.slurm_job}`;
  if (of.pod !== null) return `pod ${of.namespace === null ? "" : `${of.namespace}/`}${of.pod}`;
  return of.user === null ? null : `user ${of.user}`;
}
