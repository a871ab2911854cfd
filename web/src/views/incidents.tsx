/** What went wrong, why, and what was there before? */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { type BlackboxEvent, type DumpInfo, RISE_SHARE } from "../data/answers";
import { askDumps, reportAddress } from "../data/api";
import { bytes, change, clock, clockTenths, counted, duration, plural, zone } from "../data/format";
import { gpuShort } from "../data/ledger";
import { type Folded, foldedMarks, type Kind, kindOf, KINDS, type Mark, markOf, namesOf } from "../data/marks";
import { whileVisible } from "../data/poll";
import { shared } from "../data/shared";
import { events, go, goMore, incidents, gpuLeaves, linkTo, noRecording, now, recordedBefore, recordedSince, route, writeAddress } from "../data/store";
import { Absent, Chips, reasonOf, Tag } from "../parts/basics";
import { Causes, hasReport, Remedies, ReportLink, useReport } from "../parts/verdict_of_event";
import { Footer, Main } from "../parts/frame";
import { RefusalFigures } from "../parts/refusal";
import { Before } from "../parts/before";

const BEFORE_SECONDS = 300;
const REPEATS_SHOWN = 12;
const KIND_NAMES: Readonly<Record<Kind, string>> = { oom: "▼ out of memory", crash: "✕ crash", hardware: "⚑ hardware", threshold: "▲ threshold", growth: "▲ growth", life: "▴ start, end" };

export function Incidents() {
  const names = namesOf(events.value);
  const nameOf = (pid: number) => names.get(pid) ?? null;
  const rows = foldedMarks(incidents.value, nameOf);
  const { more, gpu } = route.value;
  const kind = (more["kind"] ?? "all") as Kind | "all";
  const folded = rows.filter(({ mark }) => (kind === "all" ? mark.isOnAxis && kindOf(mark.event) !== "life" : kindOf(mark.event) === kind) && (gpu === null || mark.event.gpu_uuid === gpu));
  const row = rows.find((one) => String(one.mark.event.id) === more["id"]);
  const one = events.value.find((event) => String(event.id) === more["id"]);
  const chosen = row?.mark ?? (one === undefined ? null : markOf(one, nameOf)) ?? folded.find(({ mark }) => mark.event.kind === "oom")?.mark ?? folded[0]?.mark ?? null;
  const counts = new Map(KINDS.map((name) => [name, rows.reduce((sum, { mark, count }) => sum + (kindOf(mark.event) === name ? count : 0), 0)]));
  return (
    <>
      <Main isTitled={noRecording.value === null && chosen !== null}>
        <div class="chips">
          <Chips
            label="kind"
            choices={[{ value: "all" as Kind | "all", text: "all" }, ...KINDS.map((name) => ({ value: name as Kind | "all", text: `${KIND_NAMES[name]} ${counts.get(name)}` }))]}
            chosen={kind}
            onChoose={(next) => goMore({ kind: next === "all" ? null : next, id: null })}
          />
          <Chips
            label="GPU"
            choices={[{ value: null, text: "all" }, ...gpuLeaves.value.map((one) => ({ value: one.gpu.uuid as string | null, text: gpuShort(one.gpu) }))]}
            chosen={gpu}
            onChoose={(next) => go({ gpu: next })}
          />
        </div>
        {noRecording.value !== null ? (
          <p class="empty">No incidents are kept: {noRecording.value}.</p>
        ) : (
          <div class="incidents">
            <div>
              <List folded={folded} chosen={chosen} />
              <Dumps />
            </div>
            {chosen !== null && <Detail mark={chosen} row={rowOf(folded, chosen)} />}
          </div>
        )}
      </Main>
      <Footer>
        {plural(countOf(rows), "event")}
        {countOf(folded) < countOf(rows) && `, ${counted(countOf(folded))} of them listed`}
      </Footer>
    </>
  );
}

function countOf(rows: readonly Folded[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}

/** The row that an event stands in: its own, or the one it was folded into. */
function rowOf(folded: readonly Folded[], { event }: Mark): Folded | null {
  const isIn = ({ mark, since }: Folded) => mark.event.kind === event.kind && mark.event.gpu_uuid === event.gpu_uuid && since <= event.timestamp && event.timestamp <= mark.event.timestamp;
  return folded.find((one) => one.mark.event.id === event.id) ?? folded.find(isIn) ?? null;
}

function List({ folded, chosen }: { folded: readonly Folded[]; chosen: Mark | null }) {
  const current = chosen === null ? null : rowOf(folded, chosen);
  return (
    <nav class="list" aria-label="incidents, newest first">
      {folded.map((one) => (
        <a class="incident" key={one.mark.event.id} href={linkTo({ view: "incidents", more: { ...route.value.more, id: String(one.mark.event.id) } })} aria-current={one === current ? "true" : undefined}>
          <span>
            <Tag mark={one.mark} />
          </span>
          <span>
            <b>{one.mark.headline}</b>
            <br />
            <small class="soft">
              {placeOf(one.mark.event)}
              {one.count > 1 && ` · ${one.count} times since ${clock(one.since)}`}
            </small>
          </span>
          <span>{clock(one.mark.event.timestamp)}</span>
        </a>
      ))}
      <p class="small soft" style={{ padding: "8px 12px" }}>
        {folded.length === 0 && "No incidents of this kind. "}
        {recordedSince.value === null ? "Newest first; what is alike is one row." : `The recording begins ${clock(recordedSince.value)}.`}
      </p>
    </nav>
  );
}

const dumps = signal<readonly DumpInfo[]>([]);

/** A dump is written some seconds after what it is of, and may make way for a newer one at any time. */
const DUMPS_EVERY_MS = 10_000;

function loadDumps(): void {
  askDumps()
    .then((answer) => (dumps.value = shared(dumps.peek(), answer.dumps)))
    .catch(() => undefined); // the list stays as it is
}

/** Files with the minutes before something went wrong, and their reports. */
function Dumps() {
  const newest = events.value.at(-1)?.id; // their number stays where old ones make way
  useEffect(loadDumps, [newest]);
  useEffect(() => whileVisible(loadDumps, DUMPS_EVERY_MS), []);
  if (dumps.value.length === 0) return null;
  return (
    <section class="card" style={{ marginTop: "12px" }}>
      <h2>
        Dumps kept <small class="soft">the minutes before, at full rate</small>
      </h2>
      {dumps.value.toReversed().map((dump) => (
        <div class="delta" key={dump.name}>
          <div>
            <a href={reportAddress({ dump: dump.name })}>
              {dump.kind}
              {dump.pid !== null && ` of pid ${dump.pid}`}, {clock(dump.timestamp)}
            </a>
            <span class="soft">{sizeOf(dump)}</span>
          </div>
        </div>
      ))}
    </section>
  );
}

function sizeOf(dump: DumpInfo) {
  const reason = reasonOf(dump.unknown, "size_bytes");
  return reason === null ? bytes(dump.size_bytes) : <Absent reason={reason} />;
}

function placeOf(event: BlackboxEvent): string {
  const ledger = gpuLeaves.value.find((one) => one.gpu.uuid === event.gpu_uuid);
  return ledger?.label ?? (event.gpu_uuid === undefined ? "the machine" : event.gpu_uuid);
}

function Detail({ mark, row }: { mark: Mark; row: Folded | null }) {
  const { event } = mark;
  const begin = recordedBefore(event.timestamp, BEFORE_SECONDS);
  const before = Math.max(1, event.timestamp - begin);
  const report = useReport(event.id, event.kind);
  const itself: Record<string, string> = event.oom === undefined ? {} : { event: String(event.id) };
  const toMoment = { view: "moment", time: event.timestamp, gpu: event.gpu_uuid ?? null, more: itself } as const;
  const go2 = linkTo({ view: "map", time: event.timestamp, gpu: event.gpu_uuid ?? null, pid: event.pid ?? null, more: itself });
  const toComparison = { view: "compare", a: begin, b: event.timestamp, gpu: event.gpu_uuid ?? null, more: {} } as const;
  goByKey = { m: () => go(toMoment), c: () => go(toComparison) };
  useEffect(() => {
    window.scrollTo({ top: 0 });
    if (route.peek().more["id"] === undefined) goMore({ id: String(event.id) }); // what is read stays when a newer one comes, and its address shows it again
  }, [event.id]);
  return (
    <article style={{ minWidth: 0 }}>
      <p class="soft">
        {clockTenths(event.timestamp)} {zone(event.timestamp)}, {duration(now.value - event.timestamp)} ago · {placeOf(event)}
        {event.pid !== undefined && ` · pid ${event.pid}`}
      </p>
      <h1 style={{ margin: "4px 0 10px" }}>{mark.headline}</h1>
      {hasReport(event.kind) && <Causes report={report} />}
      <div class="chips">
        <a class="button main" href={linkTo(toMoment)}>
          1 The moment
        </a>
        <a class="button main" href={go2}>
          2 Map then
        </a>
        <a class="button main" href={linkTo(toComparison)}>
          3 Compare with {duration(before)} before
        </a>
        <span class="end">
          {hasReport(event.kind) && <ReportLink event={event.id} />}
          <CopyLink />
        </span>
      </div>
      <div class="two even">
        {event.oom !== undefined && (
          <section>
            <h2>Asked, and what there was</h2>
            <RefusalFigures event={event} oom={event.oom} />
          </section>
        )}
        {event.gpu_uuid !== undefined && (
          <section style={{ minWidth: 0 }}>
            <h2>
              Memory before <small class="soft">GiB, {duration(before)}</small>
            </h2>
            <Before gpuUuid={event.gpu_uuid} at={event.timestamp} seconds={before} />
          </section>
        )}
      </div>
      <Remedies report={report} />
      <Facts event={event} />
      {row !== null && row.count > 1 && <Repeats row={row} chosen={event} />}
    </article>
  );
}

const COPIED_MS = 2000;

/** Browsers let pages copy where they came by TLS or from this machine alone: elsewhere the address bar has the same. */
function CopyLink() {
  const [isCopied, setCopied] = useState(false);
  if (!window.isSecureContext) return null;
  const copy = async () => {
    writeAddress();
    await navigator.clipboard.writeText(location.href);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <button type="button" aria-live="polite" onClick={() => void copy()}>
      {isCopied ? "Copied" : "Copy link"}
    </button>
  );
}

function Facts({ event }: { event: BlackboxEvent }) {
  const { process, growth, threshold } = event;
  return (
    <dl class="facts" style={{ marginTop: "12px", maxWidth: "700px" }}>
      {event.oom === undefined && (
        <>
          <dt>told</dt>
          <dd>{event.message}</dd>
        </>
      )}
      {event.code !== undefined && (
        <>
          <dt>the driver's number</dt>
          <dd>{event.code}</dd>
        </>
      )}
      {process !== undefined && (
        <>
          <dt>held</dt>
          <dd>
            {process.used_bytes === null ? <Absent reason="the driver never told" /> : bytes(process.used_bytes)}, at most {process.peak_used_bytes === null ? <Absent reason="the driver never told" /> : bytes(process.peak_used_bytes)}
          </dd>
          {process.start_time !== null && (
            <>
              <dt>began</dt>
              <dd>
                {clock(process.start_time)}, {duration(event.timestamp - process.start_time)} before
              </dd>
            </>
          )}
        </>
      )}
      {growth !== undefined && (
        <>
          <dt>grew</dt>
          <dd>
            {change(growth.rise_bytes)} in {duration(growth.window_seconds * RISE_SHARE)}
          </dd>
        </>
      )}
      {threshold !== undefined && (
        <>
          <dt>used then</dt>
          <dd>{threshold.used_percent} %</dd>
        </>
      )}
    </dl>
  );
}

/** How often it came; and each time there was one of its kind on its device, since each leads to its own moment. */
function Repeats({ row: { mark, count, since }, chosen }: { row: Folded; chosen: BlackboxEvent }) {
  const { kind, gpu_uuid: gpu, timestamp: last, threshold } = mark.event;
  const isLike = (event: BlackboxEvent) => event.kind === kind && event.gpu_uuid === gpu && event.threshold?.above === threshold?.above && event.timestamp <= last;
  const each = events.value.filter(isLike).slice(-REPEATS_SHOWN).toReversed();
  return (
    <section style={{ marginTop: "14px" }}>
      <h2>
        {count} times <small class="soft">since {clock(since)}, {count === 2 ? `${duration(last - since)} apart` : `every ${duration((last - since) / (count - 1))}`}</small>
      </h2>
      <div class="chips" role="group" aria-label={`${mark.word} on ${placeOf(mark.event)}, the newest ${each.length}`}>
        {each.map((event) => (
          <a class="button" key={event.id} aria-current={event.id === chosen.id ? "true" : undefined} href={linkTo({ view: "incidents", more: { ...route.value.more, id: String(event.id) } })}>
            {clock(event.timestamp)}
            {event.oom !== undefined && `, ${bytes(event.oom.requested_bytes)}`}
          </a>
        ))}
      </div>
    </section>
  );
}

let goByKey = { m: (): void => undefined, c: (): void => undefined };

/** Of the incident that is read, not of now. */
export const incidentsKeys: Readonly<Record<string, () => void>> = { m: () => goByKey.m(), c: () => goByKey.c() };
