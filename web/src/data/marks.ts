/** Events as marks on a time axis and as lines in a list: shape, word, headline. */

import type { BlackboxEvent } from "./answers";
import { bytes } from "./format";

export type Tone = "alarm" | "warn" | "plain";

export interface Mark {
  event: BlackboxEvent;
  shape: string;
  word: string;
  headline: string;
  tone: Tone;
  /** Has a place on the charts; starts and ends of processes do, the fall below a threshold does not. */
  isOnAxis: boolean;
}

const SHAPES: Readonly<Record<string, readonly [string, string, Tone]>> = {
  oom: ["▼", "OOM", "alarm"],
  crash: ["✕", "crash", "alarm"],
  gpu_lost: ["✕", "GPU lost", "alarm"],
  source_lost: ["✕", "source lost", "warn"],
  memory_orphaned: ["⚑", "orphaned", "warn"],
  memory_growth: ["▲", "growth", "warn"],
  xid: ["⚑", "Xid", "warn"],
  ecc: ["⚑", "ECC", "warn"],
  threshold: ["▲", "threshold", "plain"],
  process_start: ["▴", "start", "plain"],
  process_exit: ["▾", "end", "plain"],
  gpu_back: ["○", "GPU back", "plain"],
  source_back: ["○", "source back", "plain"],
};

export const KINDS = ["oom", "crash", "hardware", "threshold", "growth", "life"] as const;
export type Kind = (typeof KINDS)[number];
const KIND_OF: Readonly<Record<string, Kind>> = {
  oom: "oom",
  crash: "crash",
  xid: "hardware",
  ecc: "hardware",
  gpu_lost: "hardware",
  gpu_back: "hardware",
  source_lost: "hardware",
  source_back: "hardware",
  threshold: "threshold",
  memory_growth: "growth",
  memory_orphaned: "growth",
  process_start: "life",
  process_exit: "life",
};

export function kindOf(event: BlackboxEvent): Kind {
  return KIND_OF[event.kind] ?? "hardware";
}

export function markOf(event: BlackboxEvent, nameOf: (pid: number) => string | null): Mark {
  const [shape, word, tone] = SHAPES[event.kind] ?? ["○", event.kind, "plain"];
  const isFall = event.threshold?.above === false;
  return {
    event,
    shape: isFall ? "△" : shape,
    word: wordOf(event, word),
    headline: headlineOf(event, nameOf),
    tone: isFall ? "plain" : tone,
    isOnAxis: !isFall && !event.kind.endsWith("_back"),
  };
}

function wordOf(event: BlackboxEvent, word: string): string {
  if (event.kind === "xid" && event.code !== undefined) return `Xid ${event.code}`;
  if (event.threshold !== undefined) return `${event.threshold.above ? "" : "< "}${event.threshold.threshold_percent} %`;
  return word;
}

function headlineOf(event: BlackboxEvent, nameOf: (pid: number) => string | null): string {
  if (event.oom !== undefined && event.pid !== undefined) {
    return `${nameOf(event.pid) ?? "process"} ${event.pid} ran out of memory: it asked for ${bytes(event.oom.requested_bytes)}`;
  }
  return /^\S+ \(pid /.test(event.message) ? event.message : event.message.charAt(0).toUpperCase() + event.message.slice(1); // a process's name is as it is
}

/** Names of processes that have ended, from the events of their life. */
export function namesOf(events: readonly BlackboxEvent[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const event of events) {
    if (event.pid !== undefined && event.process?.name != null) names.set(event.pid, event.process.name);
  }
  return names;
}

/** Marks of a folded list, the newest first, with how often each came. */
export interface Folded {
  mark: Mark;
  count: number;
  /** When the first of them was. */
  since: number;
}

export function foldedMarks(incidents: readonly BlackboxEvent[], nameOf: (pid: number) => string | null): Folded[] {
  return incidents.toReversed().map((event) => ({ mark: markOf(event, nameOf), count: event.repeats?.count ?? 1, since: event.repeats?.first_at ?? event.timestamp }));
}
