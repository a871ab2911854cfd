/** What fills, how soon, who grew, what now? */

import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Comparison } from "../data/answers";
import { about, bytes, change, clock, clockTenths, duration, gib, plural, ratePerMinute } from "../data/format";
import { gpuModel, type GpuLedger, processKey, processLabel, type ProcessLedger } from "../data/ledger";
import { fold, markOf, namesOf } from "../data/marks";
import { purposeOfType } from "../data/purpose";
import { courseOf } from "../data/series";
import { changeSince, grewSince } from "../data/growth";
import { cursor, events, forecast, gpuLeaves, go, ledgers, linkTo, noRecording, now, route, shown, tracks, tracksVersion } from "../data/store";
import { fillingOf, isAlarm, movedIn, type Verdict, verdictOf } from "../data/verdict";
import { Absent, Legend, reasonOf, Swatch, Tag } from "../parts/basics";
import { Footer, Waiting } from "../parts/frame";
import { LedgerBar } from "../parts/ledger_bar";
import { Spark } from "../parts/spark";

const MOVED_SECONDS = 120;
const INCIDENTS_SHOWN = 4;

const isNow = computed(() => route.value.time === null);
const verdict = computed(() => (isNow.value ? verdictOf(forecast.value, gpuLeaves.value, events.value) : null));

export function Overview() {
  if (shown.value === null) return <Waiting />;
  const found = verdict.value;
  return (
    <>
      <main id="content" tabIndex={-1}>
        {found !== null && isAlarm(found) ? <Alarm verdict={found} /> : isNow.value && <Calm later={found} />}
        <div class="two">
          <section>
            <div class="head">
              <h2>GPUs</h2>
              <small class="soft">by purpose, each bar is its whole memory, GiB, order fixed</small>
            </div>
            {ledgers.value.map((ledger) => (
              <GpuRows key={ledger.gpu.uuid} ledger={ledger} />
            ))}
            {ledgers.value.length === 0 && <p class="empty">This machine has no GPU that Blackbox can see. The health view says what was tried.</p>}
          </section>
          <aside class="side">
            <Moves />
            <Incidents />
            <Advice />
          </aside>
        </div>
        <Legend />
      </main>
      <Footer>
        {plural(ledgers.value.length, "GPU")}, {plural(shown.value.processes.length, "process", "processes")}
      </Footer>
    </>
  );
}

function Calm({ later }: { later: Verdict | null }) {
  const highest = gpuLeaves.value.toSorted((a, b) => b.gpu.used_percent - a.gpu.used_percent)[0];
  if (highest === undefined) return null;
  void tracksVersion.value;
  const course = courseOf(tracks.get(highest.gpu.uuid), highest.gpu.total_bytes);
  const unknown = noRecording.value ?? (forecast.value === null ? "the forecast has not come yet" : null);
  const soonest = unknown !== null ? `whether one fills is not known: ${unknown}` : later === null ? "none has a trend that fills it" : `the first, ${later.ledger.label}, fills in ${about(later.outlook.full_in_seconds)}`;
  return (
    <p class="calm">
      <b>
        {ledgers.value.length} {ledgers.value.length === 1 ? "GPU" : "GPUs"}, {soonest}.
      </b>{" "}
      Highest: {highest.label}, {gib(highest.gpu.used_bytes)} of {bytes(highest.gpu.total_bytes)}
      {course === null ? "" : course.kind === "swings" ? `, swings ${gib(course.low)}–${gib(course.high)} GiB` : course.kind === "flat" ? ", flat" : ""}.
    </p>
  );
}

function Alarm({ verdict: { ledger, outlook, process, others, earlier } }: { verdict: Verdict }) {
  const since = outlook.evidence?.from ?? null;
  useEffect(() => grewSince(ledger.gpu.uuid, since), [ledger.gpu.uuid, since === null ? null : Math.round(since / 15)]);
  const range = outlook.full_in_seconds_min !== null && outlook.full_in_seconds_max !== null;
  const last = earlier.at(-1);
  const full = now.value + outlook.full_in_seconds;
  const names = namesOf(events.value);
  const who = process === null ? null : processLabel(process);
  return (
    <section class="verdict" role="alert" aria-label="verdict">
      <h1>
        ⚠ {ledger.label} is full in <span class="alarm">{about(outlook.full_in_seconds)}</span>{" "}
        <span class="range">
          ({range && `${duration(outlook.full_in_seconds_min!)} to ${duration(outlook.full_in_seconds_max!)}, `}at {ratePerMinute(outlook.evidence?.rate_bytes_per_second ?? 0)})
        </span>
      </h1>
      <div class="actions">
        <a class="button main" href={linkTo({ view: "compare", a: since ?? now.value - MOVED_SECONDS, b: null, gpu: ledger.gpu.uuid })}>
          What grew <kbd>C</kbd>
        </a>
        <a class="button" href={linkTo({ view: "map", gpu: ledger.gpu.uuid, pid: process?.pid ?? null })}>
          Map of the {ledger.gpu.mig === null ? "GPU" : "slice"}
        </a>
        {last !== undefined && (
          <a class="button" href={linkTo({ view: "incidents", more: { id: String(last.id) } })}>
            Last time, {clock(last.timestamp)}
          </a>
        )}
      </div>
      <dl>
        <div>
          <dt>Who grew</dt>
          <dd>
            {who === null ? <Absent reason="more than one process grows, or none that is listed">several</Absent> : <b>{who}</b>}
            {process?.user != null && `, ${process.user}`}
            <br />
            {outlook.evidence !== null && `${change(outlook.evidence.rise_bytes)} since ${clock(outlook.evidence.from)}`}
          </dd>
        </div>
        <div>
          <dt>Since when</dt>
          <dd>
            {since === null ? <Absent reason="the prediction names no start" /> : <b>{clock(since)}</b>}
            <br />
            {since !== null && `steadily, for ${duration(now.value - since)}`}
          </dd>
        </div>
        <WhatFor comparison={changeSince.value} ledger={ledger.processes.find((one) => one.process === process) ?? null} />
        <div>
          <dt>Seen before</dt>
          <dd>
            {last === undefined ? (
              "no refusal here since the recording began"
            ) : (
              <>
                out of memory here at <b>{clock(last.timestamp)}</b>
                <br />
                {last.pid !== undefined && `${names.get(last.pid) ?? "process"} ${last.pid}`}
                {earlier.length > 1 && `, ${earlier.length} times in all`}
              </>
            )}
          </dd>
        </div>
      </dl>
      <p class="then">
        <b>If nothing is done:</b> {who ?? "the next to ask"} is refused memory at about <b>{clock(full)}</b>
        {last?.pid !== undefined && ` and likely ends, as ${last.pid} did`}.{" "}
        {others.length === 0
          ? `Nobody else is on this ${ledger.gpu.mig === null ? "GPU" : "slice"}, so nobody else is hit.`
          : `Hit as well: ${others.map(processLabel).join(", ")}.`}{" "}
        <span class="soft">A prediction, if the rise goes on as it did.</span>
      </p>
    </section>
  );
}

/** What grew, by the comparison with the start of the rise; until that has come, what is held most. */
function WhatFor({ comparison, ledger }: { comparison: Comparison | null; ledger: ProcessLedger | null }) {
  const found = comparison?.processes.find((one) => one.pid === ledger?.process.pid) ?? null;
  const type = found?.types.toSorted((a, b) => b.delta_bytes - a.delta_bytes)[0];
  const stack = found?.stacks.toSorted((a, b) => b.delta_bytes - a.delta_bytes)[0];
  const most = ledger?.segments.filter((segment) => segment.purpose.letter !== "").toSorted((a, b) => b.bytes - a.bytes)[0];
  return (
    <div>
      <dt>What for</dt>
      <dd>
        {type !== undefined ? (
          <>
            <Swatch purpose={purposeOfType(type.type, type.subtype)} />{" "}
            <b>
              {purposeOfType(type.type, type.subtype).name} {bytes(type.after_bytes)}
            </b>
            , {type.after_blocks} blocks
          </>
        ) : most !== undefined ? (
          <>
            <Swatch purpose={most.purpose} />{" "}
            <b>
              {most.purpose.name} {bytes(most.bytes)}
            </b>
            , most of what it holds
          </>
        ) : (
          <Absent reason="no allocator tells what its memory is for" />
        )}
        <br />
        {stack?.frames[0] !== undefined && <code>{stack.frames[0]}</code>}
      </dd>
    </div>
  );
}

function GpuRows({ ledger }: { ledger: GpuLedger }) {
  if (ledger.slices.length === 0) return <GpuRow ledger={ledger} />;
  const { gpu } = ledger;
  return (
    <>
      <div class="gpu">
        <div>
          <b class="name">GPU {gpu.index}</b> <small class="soft">in {ledger.slices.length} MIG slices</small>
        </div>
        <div class="bars soft">
          {gpuModel(gpu)} · <Gauges ledger={ledger} />
        </div>
        <div class="num">
          {gib(gpu.used_bytes)} <span class="soft">/ {bytes(gpu.total_bytes)}</span>
        </div>
        <div />
      </div>
      {ledger.slices.map((slice) => (
        <GpuRow key={slice.gpu.uuid} ledger={slice} />
      ))}
    </>
  );
}

function GpuRow({ ledger }: { ledger: GpuLedger }) {
  const { gpu } = ledger;
  const filling = isNow.value ? fillingOf(forecast.value, gpu.uuid) : null;
  const hot = filling !== null && filling.full_in_seconds < 1800;
  const title = gpu.mig === null ? `GPU ${gpu.index}` : `MIG ${gpu.mig.gpu_instance_id}`;
  const isStale = gpu.state !== "ok";
  return (
    <div class={`gpu ${gpu.mig !== null ? "slice" : ""} ${hot ? "hot" : ""} ${isStale ? "stale" : ""}`}>
      <div>
        <a class="name" href={linkTo({ view: "map", gpu: gpu.uuid, pid: null })} aria-label={`map of ${ledger.label}`}>
          {title}
        </a>
        <div class="small soft">{gpu.mig === null ? gpuModel(gpu) : gpu.mig.profile}</div>
        {gpu.mig === null && (
          <div class="small soft">
            <Gauges ledger={ledger} />
          </div>
        )}
      </div>
      <div class="bars">
        <LedgerBar ledger={ledger} grows={hot} />
        <Notes ledger={ledger} />
      </div>
      <div class="figure num">
        <b>{gib(gpu.used_bytes)}</b> <span class="soft">/ {bytes(gpu.total_bytes)}</span>
        <div class={hot ? "alarm" : ""}>{hot ? <b>{bytes(gpu.free_bytes)} free</b> : `${bytes(gpu.free_bytes)} free`}</div>
      </div>
      <Course ledger={ledger} hot={hot} seconds={filling?.full_in_seconds ?? null} />
    </div>
  );
}

function Gauges({ ledger }: { ledger: GpuLedger }) {
  const { gpu } = ledger;
  const busy = reasonOf(gpu.unknown, "utilization_percent") ?? "the driver does not tell";
  return (
    <>
      {gpu.utilization_percent === null ? <Absent reason={busy}>busy n/a</Absent> : `${Math.round(gpu.utilization_percent)} % busy`}
      {gpu.temperature_celsius !== null && ` · ${Math.round(gpu.temperature_celsius)} °C`}
      {gpu.power_watts !== null && ` · ${Math.round(gpu.power_watts)} W`}
    </>
  );
}

function Notes({ ledger }: { ledger: GpuLedger }) {
  const { gpu } = ledger;
  const engines = (shown.value?.engines ?? []).filter((engine) => engine.pids.some((pid) => ledger.processes.some((one) => one.process.pid === pid)));
  const silent = ledger.processes.filter((one) => !one.reports && one.process.used_bytes > gpu.total_bytes * 0.02);
  return (
    <div class="notes">
      {engines.map((engine) => (
        <div key={engine.pid}>
          {engine.kind === "vllm" ? "vLLM" : engine.kind} {engine.model?.split("/").at(-1)}: KV pages{" "}
          {engine.kv_pages_used === null ? <Absent reason={reasonOf(engine.unknown, "kv_pages_used") ?? "the engine does not tell"} /> : <b>{`${engine.kv_pages_used} of ${engine.kv_pages_total ?? "?"}`}</b>} in use
          {engine.kv_pages_cached !== null && `, ${engine.kv_pages_cached} cached`}
          {engine.requests_running !== null && ` · ${engine.requests_running} running`}
        </div>
      ))}
      {gpu.xid !== null && (
        <div class="warn">
          ⚑ Xid {gpu.xid.code} at {clock(gpu.xid.timestamp)}
        </div>
      )}
      {silent.length > 0 && <div class="soft">inside n/a: no allocator reports from {silent.map((one) => processLabel(one.process)).join(", ")}</div>}
      {gpu.state !== "ok" && (
        <div class="warn">
          ◐ {gpu.state}: {gpu.reason ?? "no reason told"}, as of {duration(gpu.age_seconds)} ago
        </div>
      )}
    </div>
  );
}

function Course({ ledger: { gpu, label }, hot, seconds }: { ledger: GpuLedger; hot: boolean; seconds: number | null }) {
  void tracksVersion.value;
  const track = tracks.get(gpu.uuid);
  const course = courseOf(track, gpu.total_bytes);
  const words =
    seconds !== null
      ? `full in ${about(seconds).replace("about ", "~")}`
      : course === null
        ? "no course yet"
        : course.kind === "swings"
          ? `swings ${gib(course.low)}–${gib(course.high)} GiB`
          : course.kind === "flat"
            ? "flat"
            : "no trend yet";
  return (
    <div class="course">
      <Spark track={track} total={gpu.total_bytes} to={cursor.value} hot={hot} label={`${label}, last five minutes: ${words}`} />
      {hot ? <b class="alarm small">{words}</b> : <span class="soft small">{words}</span>}
    </div>
  );
}

function Moves() {
  void tracksVersion.value;
  const rows = movedIn(gpuLeaves.value, (process) => tracks.get(processKey(process)), now.value, MOVED_SECONDS);
  const most = Math.max(1, ...rows.map((row) => Math.abs(row.bytes)));
  return (
    <section class="card">
      <h2>
        Change in 2 min <small class="soft">by process, since {clock(now.value - MOVED_SECONDS)}</small>
      </h2>
      {rows.map(({ process, bytes: moved, isNew }) => (
        <div class="delta" key={processKey(process)}>
          <div>
            <span>
              {processLabel(process)} <span class="soft">{process.user}</span>
            </span>
            <span class="num">
              {isNew && <span class="soft">new </span>}
              {moved === most && moved > 0 ? <b>{change(moved)}</b> : change(moved)}
            </span>
          </div>
          <div class="meter">
            <i class={moved > 0 && moved === most && moved > 1e9 ? "hot" : ""} style={{ width: `${(Math.abs(moved) / most) * 100}%` }} />
          </div>
        </div>
      ))}
      {rows.length === 0 && <p class="soft">No process holds memory.</p>}
    </section>
  );
}

function Incidents() {
  const names = namesOf(events.value);
  const marks = events.value.filter((event) => event.kind !== "process_start" && event.kind !== "process_exit").map((event) => markOf(event, (pid) => names.get(pid) ?? null));
  const folded = fold(marks.filter((mark) => mark.isOnAxis)).slice(0, INCIDENTS_SHOWN);
  return (
    <section class="card">
      <h2>Incidents</h2>
      {folded.map(({ mark, times }) => (
        <a class="incident" key={mark.event.id} href={linkTo({ view: "incidents", more: { id: String(mark.event.id) } })}>
          <div class="line">
            <Tag mark={mark} />
            <span class="soft">
              {clock(mark.event.timestamp)}, {duration(now.value - mark.event.timestamp)} ago
            </span>
          </div>
          <div class="what">{mark.tone === "alarm" ? <b>{mark.headline}</b> : mark.headline}</div>
          {times.length > 1 && (
            <div class="soft small">
              {times.length} times since {clockTenths(times.at(-1)!)}
            </div>
          )}
        </a>
      ))}
      {folded.length === 0 && <p class="soft">{noRecording.value === null ? "None since the recording began." : "None are kept, since nothing is recorded."}</p>}
    </section>
  );
}

function Advice() {
  const advice = forecast.value?.advice ?? [];
  if (advice.length === 0) return null;
  return (
    <section class="card">
      <h2>Settings worth a look</h2>
      {advice.map((one) => (
        <p key={one.message}>{one.message}</p>
      ))}
    </section>
  );
}

export const overviewKeys: Readonly<Record<string, () => void>> = {
  c: () => {
    const found = verdict.peek();
    const since = found?.outlook.evidence?.from ?? now.peek() - MOVED_SECONDS;
    go({ view: "compare", a: since, b: route.peek().time, gpu: found?.ledger.gpu.uuid ?? null, more: {} });
  },
};

