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

/** Events of the same kind on the same device, one after the other, told as one: the newest, and how often before. */
export interface Folded {
  mark: Mark;
  times: readonly number[];
}

/** Newest first. A refusal is never folded away: each leads to its own moment, so repeats of it stand below it. */
export function fold(marks: readonly Mark[]): Folded[] {
  const folded: Folded[] = [];
  for (const mark of marks.toReversed()) {
    const same = folded.find((one) => isRepeat(one.mark, mark));
    if (same === undefined) folded.push({ mark, times: [mark.event.timestamp] });
    else folded[folded.indexOf(same)] = { mark: same.mark, times: [...same.times, mark.event.timestamp] };
  }
  return folded;
}

function isRepeat(a: Mark, b: Mark): boolean {
  if (a.event.kind !== b.event.kind || a.event.gpu_uuid !== b.event.gpu_uuid) return false;
  if (a.event.kind === "threshold") return a.event.threshold?.above === b.event.threshold?.above;
  if (a.event.kind === "process_start" || a.event.kind === "process_exit") return a.event.process?.name === b.event.process?.name;
  return a.event.kind === "xid" || a.event.kind === "ecc" ? a.event.code === b.event.code : a.event.kind === "oom" || a.event.kind === "memory_growth";
}
