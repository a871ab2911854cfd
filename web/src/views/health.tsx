/** Can I trust this? */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Health as HealthAnswer, OwnCost, ProcessCoverage, SettingInForce, SourceStatus } from "../data/answers";
import { askCoverage, askHealth, askOwnCost, askSettings } from "../data/api";
import { bytes, clock, duration, plural, shortDuration, tenths, zone } from "../data/format";
import { whileVisible } from "../data/poll";
import { shared } from "../data/shared";
import { connection, framesMissed, isDemo, live, noRecording, now } from "../data/store";
import { Coverage } from "../parts/coverage";
import { Absent, Scroll } from "../parts/basics";
import { Footer, Main } from "../parts/frame";

const EVERY_MS = 2000;
const health = signal<HealthAnswer | null>(null);
const healthError = signal<string | null>(null);
const cost = signal<OwnCost | null>(null);
const coverage = signal<readonly ProcessCoverage[] | null>(null);
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
    askCoverage().then(
      (answer) => (coverage.value = shared(coverage.peek() ?? undefined, answer.processes)),
      () => (coverage.value = null), // likewise
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
      <Main isTitled>
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
            <Coverage processes={coverage.value} />
          </section>
          <aside class="side">
            <Recorder answer={answer} />
            <Own answer={answer} />
            <Settings />
            <PageCard />
          </aside>
        </div>
      </Main>
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
                {plural(source.samples_total, "sample")}, {plural(source.failures_total, "failure")}, {plural(source.restarts_total, "restart")}
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
  const unanswered = <Absent reason="the server did not answer" />;
  return (
    <section class="card">
      <h2>What Blackbox itself costs</h2>
      <dl class="facts">
        <dt>one sample</dt>
        <dd>{slowest?.duration_seconds == null ? <Absent reason="no sample yet" /> : `${shortDuration(slowest.duration_seconds)}, by ${slowest.name}`}</dd>
        <dt>CPU</dt>
        <dd>
          {own === null ? unanswered : (
            <>
              {coreShare(own)} of a core since {clock(own.started_at)} ({duration(own.cpu_seconds)} of its time), not counting child processes that still run
            </>
          )}
        </dd>
        <dt>memory</dt>
        <dd>{own === null ? unanswered : `${bytes(own.resident_bytes)}, not counting its child processes`}</dd>
        <dt>clients</dt>
        <dd>{own === null ? unanswered : `${own.connections_open} connected, ${own.streams_open} with a stream`}</dd>
      </dl>
    </section>
  );
}

function coreShare(own: OwnCost): string {
  const lived = Math.max(1, Date.now() / 1000 - own.started_at);
  return `${tenths((own.cpu_seconds / lived) * 100)} %`;
}

/** What somebody has set, with where; what stands at its default, on demand. */
function Settings() {
  const all = settings.value;
  if (all === null) return <SettingsCard><Absent reason="the server did not answer" /></SettingsCard>;
  const [set, rest] = [all.filter((one) => one.origin !== "default"), all.filter((one) => one.origin === "default")];
  return (
    <SettingsCard>
      {set.length === 0 && <p>All stand at their defaults.</p>}
      <SettingRows rows={set} />
      {rest.length > 0 && (
        <details>
          <summary>{plural(rest.length, "setting")} at the default</summary>
          <SettingRows rows={rest} />
        </details>
      )}
    </SettingsCard>
  );
}

function SettingsCard({ children }: { children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>
        Settings in force <small class="soft">flag › BLACKBOX_… › file › default</small>
      </h2>
      {children}
    </section>
  );
}

function SettingRows({ rows }: { rows: readonly SettingInForce[] }) {
  return (
    <dl class="facts">
      {rows.flatMap(({ name, value, origin }) => [
        <dt key={name}>{name}</dt>,
        <dd key={`${name} is`}>
          {Array.isArray(value) ? value.join(", ") || "none" : value === null ? "none" : String(value)} {origin !== "default" && <span class="soft">({origin})</span>}
        </dd>,
      ])}
    </dl>
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
