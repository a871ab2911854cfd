/** What fills, how soon, who grew, what now? */

import { computed } from "@preact/signals";
import { type BlackboxEvent, type GrowthOrigin, type Outlook, RISE_SHARE } from "../data/answers";
import { about, bytes, change, clock, duration, gib, plural, ratePerMinute, rounded, span } from "../data/format";
import { gpuModel, type GpuLedger, processKey, processLabel, type ProcessLedger } from "../data/ledger";
import { foldedMarks, kindOf, namesOf } from "../data/marks";
import { PURPOSE_OF } from "../data/purpose";
import { courseOf } from "../data/series";
import { cursor, engines, events, forecast, gpuLeaves, go, incidents, ledgers, linkTo, noRecording, now, route, shown, tracksShown, tracksVersion } from "../data/store";
import { courseWords, fillingOf, isAlarm, risenSince, sinceOf, untold, type Verdict, verdictOf } from "../data/verdict";
import { Absent, Legend, reasonOf, Swatch, Tag } from "../parts/basics";
import { Footer, Main, Waiting } from "../parts/frame";
import { LedgerBar } from "../parts/ledger_bar";
import { movedFrom, Moves } from "../parts/moves";
import { LastRemedies } from "../parts/verdict_of_event";
import { Spark } from "../parts/spark";

const INCIDENTS_SHOWN = 4;

const isNow = computed(() => route.value.time === null);
const verdict = computed(() => (isNow.value ? verdictOf(forecast.value, gpuLeaves.value, events.value) : null));

export function Overview() {
  if (shown.value === null) return <Waiting />;
  const found = verdict.value;
  return (
    <>
      <Main isTitled={isNow.value && gpuLeaves.value.length > 0}>
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
      </Main>
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
  const course = courseOf(tracksShown.value.get(highest.gpu.uuid), highest.gpu.total_bytes, cursor.value);
  const unknown = noRecording.value ?? (forecast.value === null ? "the forecast has not come yet" : null);
  const calm = gpuLeaves.value.length === 1 ? "no trend fills it" : "none has a trend that fills it";
  const cannotTell = forecast.value === null ? null : untold(forecast.value, gpuLeaves.value);
  const soonest =
    unknown !== null || forecast.value === null
      ? `whether one fills is not known: ${unknown}`
      : later === null
        ? (cannotTell ?? calm)
        : `the first${cannotTell === null ? "" : " of those that are known"}, ${later.ledger.label}, fills in ${about(later.outlook.full_in_seconds)}`;
  return (
    <div class={`calm ${unknown !== null || cannotTell !== null ? "untold" : ""}`}>
      <h1>
        {ledgers.value.length} {ledgers.value.length === 1 ? "GPU" : "GPUs"}, {soonest}.
      </h1>{" "}
      Highest: {highest.label}, {gib(highest.gpu.used_bytes)} of {bytes(highest.gpu.total_bytes)}
      {course === null ? "" : course.kind === "swings" ? `, swings ${gib(course.low)}–${gib(course.high)} GiB` : course.kind === "flat" ? ", flat" : ""}.
    </div>
  );
}

function Alarm({ verdict: { ledger, outlook, process, since, origin, others, earlier } }: { verdict: Verdict }) {
  const range = outlook.full_in_seconds_min !== null && outlook.full_in_seconds_max !== null;
  const last = earlier.at(-1);
  const full = now.value + outlook.full_in_seconds;
  const names = namesOf(events.value);
  const who = process === null ? null : processLabel(process);
  const risen = process === null || since === null ? null : risenSince(process, tracksShown.value.get(processKey(process)), since);
  return (
    <section class="verdict" role="alert" aria-label="verdict">
      <h1>
        ⚠ {ledger.label} is full in <span class="alarm">{about(outlook.full_in_seconds)}</span>{" "}
        <span class="range">
          ({range && `${span(outlook.full_in_seconds_min!, outlook.full_in_seconds, outlook.full_in_seconds_max!)}, `}at {ratePerMinute(outlook.evidence?.rate_bytes_per_second ?? 0)})
        </span>
      </h1>
      <div class="phone">
        <LedgerBar ledger={ledger} grows owners={false} />
      </div>
      <div class="actions">
        <a class="button main" href={linkTo({ view: "compare", a: since ?? movedFrom.value, b: null, gpu: ledger.gpu.uuid })}>
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
            {risen !== null ? `${change(risen)} since then` : outlook.evidence !== null && `${change(outlook.evidence.rise_bytes)} in ${duration((outlook.evidence.to - outlook.evidence.from) * RISE_SHARE)}`}
          </dd>
        </div>
        <div>
          <dt>Since when</dt>
          <dd>
            {since === null ? <Absent reason="the prediction names no start" /> : <b>{clock(since)}</b>}
            <br />
            {since !== null && `for ${duration(now.value - since)}`}
          </dd>
        </div>
        <WhatFor origin={origin} ledger={ledger.processes.find((one) => one.process === process) ?? null} />
        <SeenBefore origin={origin} earlier={earlier} names={names} />
      </dl>
      <p class="then">
        <b>If nothing is done:</b> {who ?? "the next to ask"} is refused memory at about <b>{clock(full)}</b>
        {last?.pid !== undefined && ` and likely ends, as ${last.pid} did`}.{" "}
        {others.length === 0
          ? `Nobody else is on this ${ledger.gpu.mig === null ? "GPU" : "slice"}, so nobody else is hit.`
          : `Hit as well: ${others.map(processLabel).join(", ")}.`}{" "}
        <span class="soft">A prediction, if the rise goes on as it did.</span>
      </p>
      {last !== undefined && <LastRemedies event={last} owner={process?.user ?? null} />}
    </section>
  );
}

/** What the rise is for, as the server measured it; where nothing is told from inside, what is held most. */
function WhatFor({ origin, ledger }: { origin: GrowthOrigin | null; ledger: ProcessLedger | null }) {
  const grown = origin?.purpose == null ? null : (PURPOSE_OF.get(origin.purpose) ?? null);
  const most = ledger?.segments.filter((segment) => segment.purpose.letter !== "").toSorted((a, b) => b.bytes - a.bytes)[0];
  const purpose = grown ?? most?.purpose ?? null;
  return (
    <div>
      <dt>What for</dt>
      <dd>
        {purpose === null ? (
          <Absent reason="no allocator tells what its memory is for" />
        ) : (
          <>
            <Swatch purpose={purpose} /> <b>{purpose.name}</b>
            {grown === null ? `, most of what it holds: ${bytes(most!.bytes)}` : origin?.purpose_rise_bytes != null && ` ${change(origin.purpose_rise_bytes)}`}
          </>
        )}
        <br />
        {origin?.frames?.[0] !== undefined && <code title={origin.frames.join("\n")}>{origin.frames[0]}</code>}
      </dd>
    </div>
  );
}

/** Refusals before: of the same stack where the server knows of some, else any on the same GPU. */
function SeenBefore({ origin, earlier, names }: { origin: GrowthOrigin | null; earlier: readonly BlackboxEvent[]; names: ReadonlyMap<number, string> }) {
  const same = origin?.earlier_failures ?? null;
  const last = earlier.at(-1);
  const found = same !== null ? { at: same.last_at, pid: same.last_pid, count: same.count } : last !== undefined ? { at: last.timestamp, pid: last.pid ?? null, count: earlier.length } : null;
  return (
    <div>
      <dt>Seen before</dt>
      <dd>
        {found === null ? (
          "no refusal here since the recording began"
        ) : (
          <>
            {same !== null ? "the same stack ran out" : "out of memory here"} at <b>{clock(found.at)}</b>
            <br />
            {found.pid !== null && `${names.get(found.pid) ?? "process"} ${found.pid}`}
            {found.count > 1 && `, ${found.count} times in all`}
          </>
        )}
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
        {filling !== null && <Growth outlook={filling} hot={hot} />}
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

/** Who makes a GPU fill, since when and what for, below its bar. */
function Growth({ outlook, hot }: { outlook: Outlook; hot: boolean }) {
  const { grower, evidence } = outlook;
  const since = sinceOf(outlook);
  const purpose = PURPOSE_OF.get(grower?.origin?.purpose ?? "");
  const frame = grower?.origin?.frames?.[0];
  return (
    <div class={`notes growth ${hot ? "hot" : ""}`}>
      <span aria-hidden="true">▸ </span>
      {grower === null ? <Absent reason="no single process has a trend">no single process</Absent> : <b>{processLabel(grower)}</b>} grows
      {evidence !== null && ` ${ratePerMinute(evidence.rate_bytes_per_second)}`}
      {since !== null && ` since ${clock(since)}`}
      {purpose !== undefined && (
        <>
          , for {purpose.name}
          {frame !== undefined && <code class="at">{frame}</code>}
        </>
      )}
    </div>
  );
}

function Gauges({ ledger }: { ledger: GpuLedger }) {
  const { gpu } = ledger;
  const busy = reasonOf(gpu.unknown, "utilization_percent") ?? "the driver does not tell";
  return (
    <>
      {gpu.utilization_percent === null ? <Absent reason={busy}>busy n/a</Absent> : `${rounded(gpu.utilization_percent)} % busy`}
      {gpu.temperature_celsius !== null && ` · ${rounded(gpu.temperature_celsius)} °C`}
      {gpu.power_watts !== null && ` · ${rounded(gpu.power_watts)} W`}
    </>
  );
}

function Notes({ ledger }: { ledger: GpuLedger }) {
  const { gpu } = ledger;
  const own = engines.value.filter((engine) => engine.pids.some((pid) => ledger.processes.some((one) => one.process.pid === pid)));
  const silent = ledger.processes.filter((one) => !one.reports && one.process.used_bytes > gpu.total_bytes * 0.02);
  return (
    <div class="notes">
      {own.map((engine) => (
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
  const track = tracksShown.value.get(gpu.uuid);
  const outlook = isNow.value ? (forecast.value?.gpus.find((one) => one.gpu_uuid === gpu.uuid) ?? null) : null;
  const words = seconds !== null ? `full in ${about(seconds).replace("about ", "~")}` : courseWords(outlook, courseOf(track, gpu.total_bytes, cursor.value));
  return (
    <div class="course">
      <Spark track={track} total={gpu.total_bytes} to={cursor.value} hot={hot} label={`${label}, last five minutes: ${words}`} />
      {hot ? <b class="alarm small">{words}</b> : <span class="soft small">{words}</span>}
    </div>
  );
}

function Incidents() {
  const names = namesOf(events.value);
  const rows = foldedMarks(incidents.value, (pid) => names.get(pid) ?? null);
  const folded = rows.filter(({ mark }) => mark.isOnAxis && kindOf(mark.event) !== "life").slice(0, INCIDENTS_SHOWN);
  return (
    <section class="card">
      <h2>Incidents</h2>
      {folded.map(({ mark, count, since }) => (
        <a class="incident" key={mark.event.id} href={linkTo({ view: "incidents", more: { id: String(mark.event.id) } })}>
          <div class="line">
            <Tag mark={mark} />
            <span class="soft">
              {clock(mark.event.timestamp)}, {duration(now.value - mark.event.timestamp)} ago
            </span>
          </div>
          <div class="what">{mark.tone === "alarm" ? <b>{mark.headline}</b> : mark.headline}</div>
          {count > 1 && (
            <div class="soft small">
              {count} times since {clock(since)}
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
    const since = found?.since ?? movedFrom.peek();
    go({ view: "compare", a: since, b: route.peek().time, gpu: found?.ledger.gpu.uuid ?? null, more: {} });
  },
};

