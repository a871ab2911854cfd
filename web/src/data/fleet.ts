/** Many machines at once: whether this server may ask about them, and what it was told. */

import { effect, signal } from "@preact/signals";
import { ask, askSettings } from "./api";
import type { FleetAt, FleetMachines, FleetOoms, FleetTop, FleetWaste, FleetWhere } from "./fleet_answers";
import { whileVisible } from "./poll";
import { connection, route } from "./store";

/** What processes can be gathered by, and in what words. The first is the default. */
export const HOLDERS = [
  ["workload", "job, pod, container or user"],
  ["user", "user"],
  ["slurm_job", "Slurm job"],
  ["pod", "pod"],
  ["namespace", "namespace"],
  ["container", "container"],
  ["host", "machine"],
  ["name", "program"],
] as const;
export type HolderKey = (typeof HOLDERS)[number][0];

/** Minutes are closed, and shipped five at a time. */
const AGAIN_MS = 60_000;
const ROWS = 20;
const MACHINES = 1000;
const WEEK_SECONDS = 7 * 86_400;

/** Null until the server's settings are known. */
export const hasFleet = signal<boolean | null>(null);

export interface Asked<T> {
  answer: T | null;
  error: string | null;
}

export interface FleetAnswers {
  at: Asked<FleetAt>;
  top: Asked<FleetTop>;
  waste: Asked<FleetWaste>;
  ooms: Asked<FleetOoms>;
  machines: Asked<FleetMachines>;
  /** Asked only while a name is. */
  where: Asked<FleetWhere>;
}

const NOT_YET = { answer: null, error: null };
const NOTHING: FleetAnswers = { at: NOT_YET, top: NOT_YET, waste: NOT_YET, ooms: NOT_YET, machines: NOT_YET, where: NOT_YET };
export const fleet = signal<FleetAnswers>(NOTHING);

/** Asks the server's settings whether it reads a fleet, once there is a server. Called once. */
export function learnOfFleet(): void {
  let isAsked = false;
  effect(() => {
    if (connection.value.state !== "live" || isAsked) return;
    isAsked = true;
    askSettings().then(
      ({ settings }) => (hasFleet.value = settings.some((one) => one.name === "fleet_read" && one.value !== null)),
      () => (hasFleet.value = false),
    );
  });
}

export function holderKey(): HolderKey {
  return HOLDERS.find(([key]) => key === route.value.more["by"])?.[0] ?? "workload";
}

/** The pod, job, user or container that is looked for; empty where nobody is. */
export function wantedName(): string {
  return route.value.more["where"] ?? "";
}

/** Asks all questions about the time looked at, again as time goes on; returns the way to stop. */
export function followFleet(): () => void {
  let controller = new AbortController();
  const load = (time: number | null, by: HolderKey, wanted: string) => {
    controller.abort();
    controller = new AbortController();
    const { signal: aborted } = controller;
    const about = <K extends keyof FleetAnswers>(key: K, path: string, parameters: Readonly<Record<string, string | number | null>>) =>
      ask<NonNullable<FleetAnswers[K]["answer"]>>(path, parameters, aborted)
        .then((answer) => ({ answer, error: null }))
        .catch((error: unknown) => ({ answer: null, error: error instanceof Error ? error.message : String(error) }))
        .then((asked) => {
          if (!aborted.aborted) fleet.value = { ...fleet.peek(), [key]: asked };
        });
    void about("machines", "fleet/machines", { limit: MACHINES });
    void about("at", "fleet/at", { t: time, limit: ROWS });
    void about("top", "fleet/top", { t: time, by, limit: ROWS });
    void about("waste", "fleet/waste", { to: time, by, limit: ROWS });
    const week = { to: time, from: time === null ? `-${WEEK_SECONDS}s` : time - WEEK_SECONDS };
    if (wanted !== "") void about("where", "fleet/where", { name: wanted, ...week, limit: ROWS });
    void about("ooms", "fleet/ooms", { ...week, limit: ROWS });
  };
  const stop = effect(() => {
    if (hasFleet.value !== true) return;
    if (fleet.peek().where.answer?.what !== wantedName()) fleet.value = { ...fleet.peek(), where: NOT_YET };
    load(route.value.time, holderKey(), wantedName());
  });
  const stopAsking = whileVisible(() => hasFleet.peek() === true && route.peek().time === null && load(null, holderKey(), wantedName()), AGAIN_MS);
  return () => {
    stop();
    stopAsking();
    controller.abort();
    fleet.value = NOTHING;
  };
}
