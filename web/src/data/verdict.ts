/** Which GPU fills, how soon, who grew, since when: chosen from the server's predictions, which are never made up here. */

import type { BlackboxEvent, Forecast, GrowthOrigin, Outlook, Process } from "./answers";
import type { GpuLedger } from "./ledger";
import { type Track, valueAt } from "./series";

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
