/** Can I trust this? */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Health as HealthAnswer, OwnCost, SettingInForce, Snapshot, SourceStatus } from "../data/answers";
import { askHealth, askOwnCost, askSettings } from "../data/api";
import { bytes, clock, shortDuration, zone } from "../data/format";
import { processLabel } from "../data/ledger";
import { whileVisible } from "../data/poll";
import { connection, framesMissed, gpuLeaves, isDemo, live, noRecording, now } from "../data/store";
import { Absent, Scroll } from "../parts/basics";
import { Footer } from "../parts/frame";

const EVERY_MS = 2000;
const health = signal<HealthAnswer | null>(null);
const healthError = signal<string | null>(null);
const cost = signal<OwnCost | null>(null);
const settings = signal<readonly SettingInForce[] | null>(null);

function followHealth(): () => void {
  const load = () => {
    askHealth()
      .then((answer) => {
        health.value = answer;
        healthError.value = null;
      })
      .catch((error: unknown) => {
        healthError.value = error instanceof Error ? error.message : String(error);
      });
    askOwnCost().then(
      (answer) => (cost.value = answer),
      () => (cost.value = null), // cells say n/a
    );
  };
  askSettings().then(
    (answer) => (settings.value = answer.settings),
    () => (settings.value = null),
  );
  load();
  return whileVisible(load, EVERY_MS);
}

const SHAPES: Readonly<Record<string, readonly [string, string]>> = { ok: ["●", "ok"], stale: ["◐", "warn"], lost: ["✕", "alarm"], starting: ["◐", "warn"] };

export function Health() {
  useEffect(followHealth, []);
  const answer = health.value;
  const titles = { ok: "All that this machine offers is fresh", stale: "Some data is stale", starting: "The first sample is still to come" } as const;
  return (
    <>
      <main id="content" tabIndex={-1}>
        <div class="head" style={{ marginBottom: "10px" }}>
          <h1>
            {answer === null ? (healthError.value ?? "Asking") : `${SHAPES[answer.status]?.[0] ?? "○"} ${titles[answer.status]}`}
          </h1>
          <span class="soft">
            {answer !== null && `/healthz ${answer.status === "ok" ? 200 : 503}`}
            {isDemo.value && (
              <>
                {" "}
                · <b>simulated machine: nothing on any page is real</b>
              </>
            )}
          </span>
        </div>
        <div class="two">
          <section style={{ minWidth: 0 }}>
            <h2>
              Sources <small class="soft">who tells what, and how fresh it is</small>
            </h2>
            <Scroll label="sources">
              <Sources sources={answer?.sources ?? []} />
            </Scroll>
            {live.value !== null && <Coverage snapshot={live.value} />}
          </section>
          <aside class="side">
            <Recorder answer={answer} />
            <Own answer={answer} />
            <PageCard />
          </aside>
        </div>
      </main>
      <Footer>{live.value !== null && `schema ${live.value.schema}, sample ${live.value.seq}`}</Footer>
    </>
  );
}

function Sources({ sources }: { sources: readonly SourceStatus[] }) {
  return (
    <table>
      <thead>
        <tr>
          <th>source</th>
          <th>state</th>
          <th>what it says</th>
          <th class="num">age</th>
          <th class="num">took</th>
        </tr>
      </thead>
      <tbody>
        {sources.map((source) => {
          const [shape, tone] = SHAPES[source.state] ?? ["○", "soft"];
          return (
            <tr key={source.name}>
              <td class="nowrap">
                <span class={tone}>{shape}</span> <b>{source.name}</b>
              </td>
              <td>
                <span class={`tag ${tone === "alarm" || tone === "warn" ? tone : ""}`}>{source.state}</span>
              </td>
              <td>
                {source.reason !== null && `${source.reason}; `}
                {source.samples_total} samples, {source.failures_total} failures, {source.restarts_total} restarts
              </td>
              <td class="num">{source.age_seconds === null ? <Absent reason={source.reason ?? "no sample yet"} /> : shortDuration(source.age_seconds)}</td>
              <td class="num">{source.duration_seconds === null ? <Absent reason={source.reason ?? "no sample yet"} /> : shortDuration(source.duration_seconds)}</td>
            </tr>
          );
        })}
        {sources.length === 0 && (
          <tr>
            <td colSpan={5} class="soft">
              No source has answered yet.
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

interface Told {
  shape: "●" | "◐" | "○";
  reason: string | null;
}

const TOLD: Told = { shape: "●", reason: null };
const WORDS = { "●": "told", "◐": "in part", "○": "not available" } as const;

/** What is told of one process; worked out from the marks that its rows carry. */
function coverageOf(snapshot: Snapshot, pid: number, reports: boolean): readonly (readonly [string, Told])[] {
  const process = snapshot.processes.find((one) => one.pid === pid);
  const used = process?.unknown?.["used_bytes"];
  const silent = process?.unknown?.["reserved_bytes"] ?? "no allocator reports: start it with blackbox run";
  const thread = snapshot.threads.find((one) => one.pid === pid);
  const shared = thread?.unknown?.["allocated_bytes"];
  const kernels = snapshot.nsight_metrics[String(pid)];
  return [
    ["bytes", used === undefined ? TOLD : { shape: "◐", reason: used }],
    ["blocks", reports ? TOLD : { shape: "○", reason: silent }],
    ["threads", thread === undefined ? { shape: "○", reason: "its threads could not be read" } : shared === undefined ? TOLD : { shape: "◐", reason: shared }],
    ["kernels", kernels?.available === true ? TOLD : { shape: "○", reason: kernels?.reason ?? "no profiler measures this process" }],
  ];
}

function Coverage({ snapshot }: { snapshot: Snapshot }) {
  const rows = gpuLeaves.value.flatMap((ledger) => ledger.processes);
  return (
    <>
      <h2 style={{ marginTop: "16px" }}>
        What is told of each process <small class="soft">● told · ◐ in part · ○ n/a, with the reason</small>
      </h2>
      <Scroll label="coverage">
        <table>
          <thead>
            <tr>
              <th>process</th>
              <th>bytes</th>
              <th>blocks</th>
              <th>threads</th>
              <th>kernels</th>
              <th>why not</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ process, reports }) => {
              const coverage = coverageOf(snapshot, process.pid, reports);
              return (
                <tr key={`${process.pid}/${process.gpu_uuid}`}>
                  <td class="nowrap">{processLabel(process)}</td>
                  {coverage.map(([name, told]) => (
                    <td key={name}>
                      <span title={told.reason ?? "told"} role="img" aria-label={`${name}: ${WORDS[told.shape]}`}>
                        {told.shape}
                      </span>
                    </td>
                  ))}
                  <td class="soft">
                    {coverage
                      .filter(([, told]) => told.reason !== null)
                      .map(([name, told]) => `${name}: ${told.reason}`)
                      .join("; ")}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}

function Recorder({ answer }: { answer: HealthAnswer | null }) {
  const recorder = answer?.recorder ?? null;
  return (
    <section class="card">
      <h2>Recorder</h2>
      {recorder === null ? (
        <p class="soft">{noRecording.value ?? (answer === null ? "asking" : "nothing is recorded")}</p>
      ) : (
        <dl class="facts">
          <dt>state</dt>
          <dd>
            {recorder.state === "recording" ? "● " : "◐ "}
            <b>{recorder.state}</b>
            {recorder.reason !== null && `: ${recorder.reason}`}
          </dd>
          <dt>on disk</dt>
          <dd>
            {bytes(recorder.bytes)} of {bytes(recorder.limit_bytes)}
          </dd>
          <dt>readings</dt>
          <dd>
            {recorder.moments_total}, {recorder.dropped_total} dropped, {recorder.damaged_total} damaged
          </dd>
          <dt>events</dt>
          <dd>{recorder.events_total}</dd>
          <dt>dumps</dt>
          <dd>{recorder.dumps}</dd>
          <dt>where</dt>
          <dd class="mono">{recorder.directory}</dd>
        </dl>
      )}
    </section>
  );
}

function Own({ answer }: { answer: HealthAnswer | null }) {
  const slowest = (answer?.sources ?? []).toSorted((a, b) => (b.duration_seconds ?? 0) - (a.duration_seconds ?? 0))[0];
  const own = cost.value;
  const set = settings.value?.filter((one) => one.origin !== "default");
  const unanswered = <Absent reason="the server did not answer" />;
  return (
    <section class="card">
      <h2>What Blackbox itself costs</h2>
      <dl class="facts">
        <dt>one sample</dt>
        <dd>{slowest?.duration_seconds == null ? <Absent reason="no sample yet" /> : `${shortDuration(slowest.duration_seconds)}, by ${slowest.name}`}</dd>
        <dt>CPU</dt>
        <dd>{own === null ? unanswered : `${shortDuration(own.cpu_seconds)} since ${clock(own.started_at)}, without children that run`}</dd>
        <dt>memory</dt>
        <dd>{own === null ? unanswered : `${bytes(own.resident_bytes)}, without its children`}</dd>
        <dt>clients</dt>
        <dd>{own === null ? unanswered : `${own.connections_open} connected, ${own.streams_open} with a stream`}</dd>
        <dt>settings in force</dt>
        <dd>
          {set === undefined ? unanswered : set.length === 0 ? "all by default" : set.map((one) => <div key={one.name}>{`${one.name}: ${String(one.value)} (${one.origin})`}</div>)}
        </dd>
      </dl>
    </section>
  );
}

function PageCard() {
  return (
    <section class="card">
      <h2>This page</h2>
      <dl class="facts">
        <dt>stream</dt>
        <dd>
          {connection.value.state === "live" ? "● connected" : `◐ ${connection.value.state}`}, {framesMissed.value} samples missed
        </dd>
        <dt>newest</dt>
        <dd>{live.value === null ? <Absent reason="no sample has come yet" /> : clock(now.value)}</dd>
        <dt>zone</dt>
        <dd>{zone(now.value)}, from this browser</dd>
      </dl>
    </section>
  );
}
