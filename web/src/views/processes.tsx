/** Who holds what, who grows? Rows keep their place: a sort holds until the next click, and no tick moves a row. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { BlackboxEvent } from "../data/answers";
import { askPeaks } from "../data/api";
import { changeGib, clock, duration, gib, percent, plural } from "../data/format";
import { gpuShort, type GpuLedger, processKey, processLabel, type ProcessLedger } from "../data/ledger";
import { ordered } from "../data/order";
import { whileVisible } from "../data/poll";
import { courseOf } from "../data/series";
import { cursor, events, forecast, go, gpuLeaves, linkTo, noRecording, now, recordedSince, route, shown, tracksShown, tracksVersion } from "../data/store";
import { fillingOf } from "../data/verdict";
import { Absent, Chips, Legend, Scroll } from "../parts/basics";
import { Footer, Main, Waiting } from "../parts/frame";
import { SmallBar } from "../parts/ledger_bar";
import { Spark } from "../parts/spark";

const PEAK_WINDOW_SECONDS = 3600;
const PEAK_EVERY_MS = 10_000;
const GONE_SECONDS = 3600;
const GONE_SHOWN = 5;

interface Row {
  ledger: ProcessLedger;
  gpu: GpuLedger;
  key: string;
}

const COLUMNS = ["pid", "name", "user", "GPU", "used", "reserved", "in use", "peak", "rate", "age"] as const;
type Column = (typeof COLUMNS)[number];

const peaks = signal<ReadonlyMap<string, number>>(new Map());
/** The order the reader asked for, as keys of rows; null is by GPU, then start. */
const order = signal<{ column: Column; descending: boolean; keys: readonly string[] } | null>(null);

function followPeaks(): () => void {
  const load = async () =>
    noRecording.peek() === null &&
    recordedSince.peek() !== null &&
    askPeaks(PEAK_WINDOW_SECONDS, now.peek())
      .then((answer) => {
        peaks.value = new Map(answer.aggregates.filter((row) => row.pid !== null).map((row) => [processKey(row), row.max]));
      })
      .catch(() => undefined); // cells say n/a
  void load();
  return whileVisible(load, PEAK_EVERY_MS);
}

function matches(row: Row, filter: string): boolean {
  const { process } = row.ledger;
  const text = [process.name, process.pid, process.user, process.container, row.gpu.label].join(" ").toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function valueOf(row: Row, column: Column): number | string {
  const { process } = row.ledger;
  switch (column) {
    case "pid":
      return process.pid;
    case "name":
      return process.name;
    case "user":
      return process.user ?? "";
    case "GPU":
      return row.gpu.label;
    case "used":
      return process.used_bytes;
    case "reserved":
      return row.ledger.reports ? process.reserved_bytes : -1;
    case "in use":
      return process.allocated_bytes ?? -1;
    case "peak":
      return peaks.peek().get(row.key) ?? -1;
    case "rate":
      return fillingOf(forecast.peek(), process.gpu_uuid, process.pid)?.evidence?.rate_bytes_per_second ?? 0;
    case "age":
      return -(process.start_time ?? 0);
  }
}

function sortBy(column: Column, rows: readonly Row[]): void {
  const before = order.peek();
  const descending = before?.column === column ? !before.descending : typeof valueOf(rows[0]!, column) === "number";
  const sorted = rows.toSorted((a, b) => {
    const [left, right] = [valueOf(a, column), valueOf(b, column)];
    return (left < right ? -1 : left > right ? 1 : 0) * (descending ? -1 : 1);
  });
  order.value = { column, descending, keys: sorted.map((row) => row.key) };
}

export function Processes() {
  useEffect(followPeaks, [recordedSince.value]);
  if (shown.value === null) return <Waiting />;
  const { filter, gpu, more } = route.value;
  const kind = more["kind"] ?? "all";
  const all = gpuLeaves.value.flatMap((one) => one.processes.map((ledger) => ({ ledger, gpu: one, key: processKey(ledger.process) })));
  const rows = all.filter((row) => (gpu === null || row.gpu.gpu.uuid === gpu) && (kind === "all" || row.ledger.process.kind === kind) && matches(row, filter));
  const gone = goneProcesses().filter((event) => gpu === null || event.gpu_uuid === gpu);
  return (
    <>
      <Main>
        <div class="chips">
          <label for="filter">filter</label>
          <input id="filter" type="search" placeholder="name, pid, user, container" value={filter} onInput={(event) => go({ filter: event.currentTarget.value })} />
          <Chips
            label="GPU"
            choices={[{ value: null, text: "all" }, ...gpuLeaves.value.map((one) => ({ value: one.gpu.uuid as string | null, text: gpuShort(one.gpu) }))]}
            chosen={gpu}
            onChoose={(next) => go({ gpu: next })}
          />
          <Chips
            label="kind"
            choices={["all", "compute", "graphics"].map((value) => ({ value, text: value }))}
            chosen={kind}
            onChoose={(next) => go({ more: next === "all" ? {} : { kind: next } })}
          />
          <span class="end soft">
            rows hold still: {order.value === null ? "by GPU, then start" : `by ${order.value.column}, as of the click`}
            {order.value !== null && (
              <button type="button" onClick={() => (order.value = null)}>
                by GPU
              </button>
            )}
          </span>
        </div>
        <Scroll label="processes">
          <Table rows={ordered(rows, order.value?.keys ?? null)} gone={filter === "" ? gone.slice(0, GONE_SHOWN) : []} />
        </Scroll>
        {rows.length === 0 && (
          <p class="empty">
            No process matches. <button type="button" onClick={() => go({ filter: "", gpu: null, more: {} })}>Show all</button>
          </p>
        )}
        <p class="small soft" style={{ marginTop: "8px" }}>
          n/a: what no allocator reports. To see inside a process, start it with <code>blackbox run -- …</code>. Peak: within the last hour, as far as it is recorded
          {recordedSince.value === null ? "" : ` (since ${clock(recordedSince.value)})`}. Rate: where the server sees a steady rise.
        </p>
        <Legend />
      </Main>
      <Footer>
        {rows.length} of {plural(all.length, "process", "processes")} on {plural(gpuLeaves.value.length, gpuLeaves.value.some(({ gpu }) => gpu.mig !== null) ? "GPU or slice" : "GPU", gpuLeaves.value.some(({ gpu }) => gpu.mig !== null) ? "GPUs and slices" : "GPUs")}, {gone.length} gone in the last hour{gone.length > GONE_SHOWN && `, the newest ${GONE_SHOWN} shown`}
      </Footer>
    </>
  );
}

/** Ended within the last hour, the newest first. */
function goneProcesses(): BlackboxEvent[] {
  return events.value.filter((event) => event.kind === "process_exit" && event.timestamp > now.value - GONE_SECONDS && event.timestamp <= cursor.value).toReversed();
}

function Head({ column, rows, text, numeric = false, isWide = false }: { column: Column; rows: readonly Row[]; text: string; numeric?: boolean; isWide?: boolean }) {
  const sorted = order.value?.column === column ? (order.value.descending ? "descending" : "ascending") : undefined;
  return (
    <th class={numeric ? "num" : isWide ? "wide" : ""} aria-sort={sorted}>
      <button type="button" onClick={() => rows.length > 0 && sortBy(column, rows)}>
        {text}
        {sorted !== undefined && (sorted === "descending" ? " ▾" : " ▴")}
      </button>
    </th>
  );
}

function Table({ rows, gone }: { rows: readonly Row[]; gone: readonly BlackboxEvent[] }) {
  return (
    <table>
      <thead>
        <tr>
          <Head column="pid" rows={rows} text="pid" numeric />
          <Head column="name" rows={rows} text="name" />
          <Head column="user" rows={rows} text="user" isWide />
          <Head column="GPU" rows={rows} text="GPU" />
          <Head column="used" rows={rows} text="used GiB" numeric />
          <th class="num">of GPU</th>
          <th>purpose</th>
          <Head column="reserved" rows={rows} text="reserved" numeric />
          <Head column="in use" rows={rows} text="in use" numeric />
          <Head column="peak" rows={rows} text="peak" numeric />
          <Head column="rate" rows={rows} text="GiB/min" numeric />
          <th>5 min</th>
          <th>threads</th>
          <Head column="age" rows={rows} text="age" />
          <th>told by</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <ProcessRow key={row.key} row={row} />
        ))}
        {gone.map((event) => (
          <GoneRow key={event.id} event={event} />
        ))}
      </tbody>
    </table>
  );
}

function ProcessRow({ row: { ledger, gpu, key } }: { row: Row }) {
  const { process, reports } = ledger;
  void tracksVersion.value;
  const filling = route.value.time === null ? fillingOf(forecast.value, process.gpu_uuid, process.pid) : null;
  const engine = shown.value?.engines.find((one) => one.pids.includes(process.pid));
  const silent = process.unknown?.["reserved_bytes"] ?? "no allocator reports from this process: start it with `blackbox run`";
  const peak = peaks.value.get(key);
  const isSelected = route.value.pid === process.pid;
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (isSelected) row.current?.scrollIntoView({ block: "nearest" });
  }, [isSelected]);
  return (
    <>
      <tr ref={row} class={filling === null ? "" : "hot"} aria-selected={isSelected} onClick={() => go({ pid: isSelected ? null : process.pid })}>
        <td class="num">{process.pid}</td>
        <td>
          <a href={linkTo({ view: "map", gpu: process.gpu_uuid, pid: process.pid })} aria-label={`map of ${processLabel(process)}`}>
            <b>{process.name}</b>
          </a>
          {process.container !== null && (
            <div class="small soft" title={process.container}>
              ▣ {process.container.slice(0, 8)}
            </div>
          )}
        </td>
        <td class="wide">{process.user ?? <Absent reason={process.unknown?.["user"] ?? "the owner could not be read"} />}</td>
        <td class="nowrap">{gpuShort(gpu.gpu)}</td>
        <td class="num">
          <b>{gib(process.used_bytes)}</b>
        </td>
        <td class="num soft">{percent(process.used_bytes / gpu.gpu.total_bytes)}</td>
        <td>
          <SmallBar segments={ledger.segments} total={process.used_bytes} />
        </td>
        <td class="num">{reports ? gib(process.reserved_bytes) : <Absent reason={silent} />}</td>
        <td class="num">{process.allocated_bytes === null ? <Absent reason={silent} /> : gib(process.allocated_bytes)}</td>
        <td class="num">{peak === undefined ? <Absent reason="the recording has not told yet" /> : gib(Math.max(peak, process.used_bytes))}</td>
        <td class="num">
          <Rate filling={filling?.evidence?.rate_bytes_per_second ?? null} keyOfTrack={key} total={gpu.gpu.total_bytes} />
        </td>
        <td>
          <Spark track={tracksShown.value.get(key)} total={gpu.gpu.total_bytes} to={cursor.value} hot={filling !== null} label={`memory of ${processLabel(process)} in the last five minutes`} />
        </td>
        <td class="nowrap">{threadsOf(process.pid, process.gpu)}</td>
        <td class="nowrap soft">{process.start_time === null ? <Absent reason={process.unknown?.["start_time"] ?? "its start could not be read"} /> : duration(cursor.value - process.start_time)}</td>
        <td class="soft">{[reports ? "agent" : "driver", ...(engine === undefined ? [] : ["engine"])].join(", ")}</td>
      </tr>
      {engine !== undefined && (
        <tr class="inner">
          <td />
          <td colSpan={14}>
            <b>{engine.kind === "vllm" ? "vLLM" : engine.kind}</b> {engine.model} · KV pages{" "}
            {engine.kv_pages_used === null ? <Absent reason="the engine does not tell" /> : <b>{engine.kv_pages_used}</b>} of {engine.kv_pages_total ?? "n/a"} in use
            {engine.kv_pages_cached !== null && `, ${engine.kv_pages_cached} cached`}
            {engine.requests_running !== null && ` · requests ${engine.requests_running} running, ${engine.requests_waiting ?? "n/a"} waiting`}
            {engine.prefix_hit_ratio !== null && ` · prefix hits ${percent(engine.prefix_hit_ratio)}`}
            {engine.preemptions_total !== null && `, ${engine.preemptions_total} preempted`}
          </td>
        </tr>
      )}
    </>
  );
}

function Rate({ filling, keyOfTrack, total }: { filling: number | null; keyOfTrack: string; total: number }) {
  if (filling !== null) return <b class="alarm">{changeGib(filling * 60)}</b>;
  const course = courseOf(tracksShown.value.get(keyOfTrack), total, cursor.value);
  if (course === null) return <Absent reason="seen for too short a time" />;
  if (course.kind === "flat") return <>0.0</>;
  return (
    <span class="soft" title={course.kind === "swings" ? `it rises and falls between ${gib(course.low)} and ${gib(course.high)} GiB` : "it moves, and the server sees no steady rise yet"}>
      {course.kind === "swings" ? "swings" : "no trend"}
    </span>
  );
}

function threadsOf(pid: number, gpu: number): string {
  const states = new Set((shown.value?.threads ?? []).filter((thread) => thread.pid === pid && thread.gpu === gpu).map((thread) => thread.state));
  return states.size === 0 ? "–" : ["running", "active", "waiting"].filter((state) => states.has(state as "running")).join(" + ");
}

function GoneRow({ event }: { event: BlackboxEvent }) {
  const life = event.process;
  const oom = events.value.findLast((one) => one.kind === "oom" && one.pid === event.pid && one.timestamp <= event.timestamp + 1);
  const gpu = gpuLeaves.value.find((one) => one.gpu.uuid === event.gpu_uuid);
  const how = life?.signal != null ? `by signal ${life.signal}` : life?.exit_code != null ? `with exit code ${life.exit_code}` : life?.ended === "unknown" ? "how is unknown" : (life?.ended ?? "how is unknown");
  return (
    <tr class="gone">
      <td class="num">{event.pid}</td>
      <td>{life?.name}</td>
      <td class="wide">{event.uid === undefined ? "" : `uid ${event.uid}`}</td>
      <td class="nowrap">{gpu === undefined ? "" : gpuShort(gpu.gpu)}</td>
      <td class="num">gone</td>
      <td />
      <td colSpan={3}>
        ended {clock(event.timestamp)}, {how}
        {oom !== undefined && "; out of memory just before"}
      </td>
      <td class="num">{life?.peak_used_bytes == null ? <Absent reason="the driver never told" /> : gib(life.peak_used_bytes)}</td>
      <td colSpan={3} />
      <td class="nowrap">{life?.start_time != null && `lived ${duration(event.timestamp - life.start_time)}`}</td>
      <td>
        <a href={linkTo({ view: "incidents", more: { id: String((oom ?? event).id) } })}>incident</a>
      </td>
    </tr>
  );
}
