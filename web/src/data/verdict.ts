/** Which GPU fills, how soon, who grew, since when: chosen from the server's predictions, which are never made up here. */

import type { BlackboxEvent, Forecast, GrowthOrigin, Outlook, Process } from "./answers";
import { clock, gib, ratePerMinute } from "./format";
import type { GpuLedger } from "./ledger";
import { type Course, type Track, valueAt } from "./series";

/** Fuller later than this is told in the calm line, not as an alarm. */
export const ALARM_SECONDS_MAX = 1800;

export interface Verdict {
  ledger: GpuLedger;
  /** Of the GPU, or of the process that fills it, whichever comes first. */
  outlook: Outlook & { full_in_seconds: number };
  /** The process that grows; null where the GPU fills and no single process does. */
  process: Process | null;
  /** When it began to. */
  since: number | null;
  /** What it grows for; null where it tells nothing from inside. */
  origin: GrowthOrigin | null;
  /** Others on the same GPU, who are hit too. */
  others: readonly Process[];
  /** Refusals on the same GPU before, the newest last. */
  earlier: readonly BlackboxEvent[];
}

type Filling = Outlook & { full_in_seconds: number };

function fills(outlook: Outlook): outlook is Filling {
  return outlook.full_in_seconds !== null;
}

/** The most urgent; null where nothing fills, or nobody can tell. */
export function verdictOf(forecast: Forecast | null, ledgers: readonly GpuLedger[], events: readonly BlackboxEvent[]): Verdict | null {
  const found = [...(forecast?.gpus ?? []), ...(forecast?.processes ?? [])]
    .filter(fills)
    .filter((outlook) => ledgers.some((ledger) => ledger.gpu.uuid === outlook.gpu_uuid))
    .toSorted((a, b) => a.full_in_seconds - b.full_in_seconds);
  const outlook = found[0];
  const ledger = ledgers.find((one) => one.gpu.uuid === outlook?.gpu_uuid);
  if (outlook === undefined || ledger === undefined) return null;
  const processes = ledger.processes.map((one) => one.process);
  const grower = outlook.pid ?? outlook.grower?.pid;
  const process = processes.find((one) => one.pid === grower) ?? (processes.length === 1 ? processes[0]! : null);
  return {
    ledger,
    outlook,
    process,
    since: sinceOf(outlook),
    origin: outlook.grower?.origin ?? null,
    others: processes.filter((one) => one !== process),
    earlier: events.filter((event) => event.kind === "oom" && event.gpu_uuid === outlook.gpu_uuid),
  };
}

/** When the rise began, as far as it was recorded. */
export function sinceOf(outlook: Outlook): number | null {
  return outlook.grower?.since ?? outlook.since ?? outlook.evidence?.from ?? null;
}

/** What a process has taken since a time; null where what it held then is not at hand. */
export function risenSince(process: Process, track: Track, since: number): number | null {
  const before = valueAt(track, since);
  if (before !== null) return process.used_bytes - before;
  return process.start_time !== null && process.start_time >= since ? process.used_bytes : null;
}

export function isAlarm(verdict: Verdict): boolean {
  return verdict.outlook.full_in_seconds <= ALARM_SECONDS_MAX;
}

/** GPU or process -> its prediction, where there is one. */
export function fillingOf(forecast: Forecast | null, gpuUuid: string, pid: number | null = null): Filling | null {
  const rows = pid === null ? [...(forecast?.gpus ?? []), ...(forecast?.processes ?? [])] : (forecast?.processes ?? []);
  const found = rows.filter(fills).filter((row) => row.gpu_uuid === gpuUuid && (pid === null || row.pid === pid));
  return found.toSorted((a, b) => a.full_in_seconds - b.full_in_seconds)[0] ?? null;
}

/** Of which GPUs nobody can tell whether they fill, and why or until when; null where that is known of all. */
export function untold(forecast: Forecast, ledgers: readonly GpuLedger[]): string | null {
  const outlooks = forecast.gpus.flatMap((outlook) => {
    const label = ledgers.find((one) => one.gpu.uuid === outlook.gpu_uuid)?.label;
    return label === undefined ? [] : [{ label, outlook }];
  });
  const found = outlooks.filter(({ outlook }) => "full_in_seconds" in outlook.unknown);
  const early = found.flatMap(({ outlook }) => outlook.predictable_from ?? []);
  if (found.length === 0) return null;
  if (early.length === outlooks.length) {
    const whys = new Set(found.map(({ outlook }) => outlook.unknown["full_in_seconds"]));
    return `whether ${early.length === 1 ? "it" : "one"} fills cannot be told before ${clock(Math.min(...early))}: ${whys.size === 1 ? [...whys][0] : "too little is recorded yet"}`;
  }
  const told = found.map(({ label, outlook }) => `whether ${label} fills is not known${outlook.predictable_from === null ? "" : ` before ${clock(outlook.predictable_from)}`}: ${outlook.unknown["full_in_seconds"]}`).join("; ");
  return found.length === outlooks.length ? told : `no trend fills those that are known; ${told}`;
}

/** How a GPU's memory goes where it does not fill: the server's rise before what the last minutes look like. */
export function courseWords(outlook: Outlook | null, course: Course | null): string {
  if (outlook !== null && outlook.predictable_from === null && "full_in_seconds" in outlook.unknown) return "not known";
  if (outlook?.evidence != null) return ratePerMinute(outlook.evidence.rate_bytes_per_second);
  if (course === null) return "no course yet";
  if (course.kind === "flat") return "flat";
  const range = `${gib(course.low)}–${gib(course.high)} GiB`;
  if (course.kind === "swings") return `swings ${range}`;
  if (outlook === null) return range;
  return outlook.predictable_from !== null ? "too early to tell" : "no trend";
}

export interface Moved {
  process: Process;
  bytes: number;
  /** It began since then, so all it holds is new. */
  isNew: boolean;
}

/** What each process took or gave back since a time. */
export function movedSince(ledgers: readonly GpuLedger[], trackOf: (process: Process) => Track, from: number): Moved[] {
  return ledgers
    .flatMap((ledger) => ledger.processes)
    .map(({ process }) => {
      const track = trackOf(process);
      const before = valueAt(track, from);
      const isNew = before === null && (process.start_time ?? 0) > from;
      return { process, bytes: process.used_bytes - (before ?? (isNew ? 0 : (track.values[0] ?? process.used_bytes))), isNew };
    })
    .toSorted((a, b) => a.bytes - b.bytes);
}
