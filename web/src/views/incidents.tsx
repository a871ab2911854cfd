/** What went wrong, why, and what was there before? */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { BlackboxEvent, DumpInfo } from "../data/answers";
import { askDumps, reportAddress } from "../data/api";
import { bytes, change, clock, clockTenths, duration, zone } from "../data/format";
import { gpuShort } from "../data/ledger";
import { fold, type Folded, type Kind, kindOf, KINDS, type Mark, markOf, namesOf } from "../data/marks";
import { events, go, goMore, gpuLeaves, linkTo, noRecording, now, recordedSince, route, writeAddress } from "../data/store";
import { Absent, Chips, Tag } from "../parts/basics";
import { Causes, hasReport, Remedies, ReportLink, useReport } from "../parts/verdict_of_event";
import { Footer } from "../parts/frame";
import { RefusalFigures } from "../parts/refusal";
import { Before } from "../parts/before";

const BEFORE_SECONDS = 300;
const REPEATS_SHOWN = 12;
const KIND_NAMES: Readonly<Record<Kind, string>> = { oom: "▼ out of memory", crash: "✕ crash", hardware: "⚑ hardware", threshold: "▲ threshold", growth: "▲ growth", life: "▴ start, end" };

export function Incidents() {
  const names = namesOf(events.value);
  const marks = events.value.map((event) => markOf(event, (pid) => names.get(pid) ?? null));
  const { more, gpu } = route.value;
  const kind = (more["kind"] ?? "all") as Kind | "all";
  const wanted = marks.filter((mark) => (kind === "all" ? mark.isOnAxis && kindOf(mark.event) !== "life" : kindOf(mark.event) === kind) && (gpu === null || mark.event.gpu_uuid === gpu));
  const folded = fold(wanted);
  const chosen = marks.find((mark) => String(mark.event.id) === more["id"]) ?? folded.find((one) => one.mark.event.kind === "oom")?.mark ?? folded[0]?.mark ?? null;
  const counts = new Map(KINDS.map((name) => [name, marks.filter((mark) => kindOf(mark.event) === name).length]));
  return (
    <>
      <main id="content" tabIndex={-1}>
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
            {chosen !== null && <Detail mark={chosen} marks={marks} />}
          </div>
        )}
      </main>
      <Footer>{events.value.length} events</Footer>
    </>
  );
}

function List({ folded, chosen }: { folded: readonly Folded[]; chosen: Mark | null }) {
  const isChosen = (one: Folded) => chosen !== null && one.mark.event.kind === chosen.event.kind && one.times.includes(chosen.event.timestamp);
  return (
    <nav class="list" aria-label="incidents, newest first">
      {folded.map((one) => (
        <a class="incident" key={one.mark.event.id} href={linkTo({ view: "incidents", more: { ...route.value.more, id: String(one.mark.event.id) } })} aria-current={isChosen(one) ? "true" : undefined}>
          <span>
            <Tag mark={one.mark} />
          </span>
          <span>
            <b>{one.mark.headline}</b>
            <br />
            <small class="soft">
              {placeOf(one.mark.event)}
              {one.times.length > 1 && ` · ${one.times.length} times since ${clock(one.times.at(-1)!)}`}
            </small>
          </span>
          <span>{clock(one.mark.event.timestamp)}</span>
        </a>
      ))}
      <p class="small soft" style={{ padding: "8px 12px" }}>
        {folded.length === 0 && "No incidents of this kind. "}
        {recordedSince.value === null ? "Newest first; repeats on one device are one row." : `The recording begins ${clock(recordedSince.value)}.`}
      </p>
    </nav>
  );
}

const dumps = signal<readonly DumpInfo[]>([]);

/** Files with the minutes before something went wrong, and their reports. */
function Dumps() {
  useEffect(() => {
    askDumps()
      .then((answer) => (dumps.value = answer.dumps))
      .catch(() => undefined); // the list stays away
  }, [events.value.length]);
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
            <span class="soft">{bytes(dump.size_bytes)}</span>
          </div>
        </div>
      ))}
    </section>
  );
}

function placeOf(event: BlackboxEvent): string {
  const ledger = gpuLeaves.value.find((one) => one.gpu.uuid === event.gpu_uuid);
  return ledger?.label ?? (event.gpu_uuid === undefined ? "the machine" : event.gpu_uuid);
}

function Detail({ mark, marks }: { mark: Mark; marks: readonly Mark[] }) {
  const { event } = mark;
  const before = Math.min(BEFORE_SECONDS, recordedSince.value === null ? BEFORE_SECONDS : Math.max(1, event.timestamp - recordedSince.value));
  const report = useReport(event.id, event.kind);
  const itself: Record<string, string> = event.oom === undefined ? {} : { event: String(event.id) };
  const go1 = linkTo({ view: "moment", time: event.timestamp, gpu: event.gpu_uuid ?? null, more: itself });
  const go2 = linkTo({ view: "map", time: event.timestamp, gpu: event.gpu_uuid ?? null, pid: event.pid ?? null, more: itself });
  const go3 = linkTo({ view: "compare", a: event.timestamp - before, b: event.timestamp, gpu: event.gpu_uuid ?? null });
  useEffect(() => window.scrollTo({ top: 0 }), [event.id]);
  return (
    <article style={{ minWidth: 0 }}>
      <p class="soft">
        {clockTenths(event.timestamp)} {zone(event.timestamp)}, {duration(now.value - event.timestamp)} ago · {placeOf(event)}
        {event.pid !== undefined && ` · pid ${event.pid}`}
      </p>
      <h1 style={{ margin: "4px 0 10px" }}>{mark.headline}</h1>
      {hasReport(event.kind) && <Causes report={report} />}
      <div class="chips">
        <a class="button main" href={go1}>
          1 The moment
        </a>
        <a class="button main" href={go2}>
          2 Map then
        </a>
        <a class="button main" href={go3}>
          3 Compare with {duration(before)} before
        </a>
        <span class="end">
          {hasReport(event.kind) && <ReportLink event={event.id} />}
          <button type="button" onClick={() => (writeAddress(), void navigator.clipboard.writeText(location.href))}>
            Copy link
          </button>
        </span>
      </div>
      <div class="two even">
        {event.oom !== undefined && (
          <section>
            <h2>Asked, and what there was</h2>
            <RefusalFigures oom={event.oom} />
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
      <Repeats mark={mark} marks={marks} />
    </article>
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
            {change(growth.rise_bytes)} in {duration(growth.window_seconds)}
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

function Repeats({ mark, marks }: { mark: Mark; marks: readonly Mark[] }) {
  const same = marks.filter((one) => one.event.kind === mark.event.kind && one.event.gpu_uuid === mark.event.gpu_uuid && (mark.event.kind !== "threshold" || one.isOnAxis === mark.isOnAxis));
  if (same.length < 2) return null;
  const gaps = same.slice(1).map((one, index) => one.event.timestamp - same[index]!.event.timestamp);
  const every = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  return (
    <section style={{ marginTop: "14px" }}>
      <h2>
        {same.length} times <small class="soft">since {clock(same[0]!.event.timestamp)}, every {duration(every)}</small>
      </h2>
      <div class="chips">
        {same
          .slice(-REPEATS_SHOWN)
          .toReversed()
          .map((one) => (
            <a class="button" key={one.event.id} aria-current={one === mark ? "true" : undefined} href={linkTo({ view: "incidents", more: { ...route.value.more, id: String(one.event.id) } })}>
              {clock(one.event.timestamp)}
              {one.event.oom !== undefined && `, ${bytes(one.event.oom.requested_bytes)}`}
            </a>
          ))}
      </div>
    </section>
  );
}
