/** What lived then? By stack, as a table and as an icicle of the same rows. */

import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { BlackboxEvent } from "../data/answers";
import { timeOf } from "../data/answers";
import { bytes, change, clock, clockTenths, duration, gib, plural, zone } from "../data/format";
import { byPurpose, gpuShort, type GpuLedger, leaves, ledgersOf, processLabel } from "../data/ledger";
import { markOf, namesOf } from "../data/marks";
import { BEFORE_SECONDS, followMoment, lived } from "../data/moment";
import { folded, icicle, matchesRow, type StackRow, stackRows } from "../data/stacks";
import { cursor, events, go, goMore, linkTo, recordedBefore, route, shown } from "../data/store";
import { Absent, Chips, fillClass, fillStyle, Frames, Scroll, Swatch, Tag } from "../parts/basics";
import { Footer, Main, Nothing, Waiting } from "../parts/frame";
import { Icicle } from "../parts/icicle";
import { LedgerBar } from "../parts/ledger_bar";
import { RefusalFigures } from "../parts/refusal";
import { Causes, useReport } from "../parts/verdict_of_event";

/** An event so close to the time looked at is what one came to see. */
const NEAR_SECONDS = 3;
const COMPARED_SECONDS = 300;
const ROWS_SHOWN = 200;
/** A stack that grew by so much of what it holds stands out, if that is not little beside the largest. */
const GROWN_SHARE = 0.2;
const SEEN_SHARE = 0.02;

const selected = signal<string | null>(null);

export function Moment() {
  useEffect(followMoment, []);
  const { snapshot, before, error } = lived.value;
  const { gpu, filter, pid } = route.value;
  const all = useMemo(() => (snapshot === null ? [] : leaves(ledgersOf(snapshot))), [snapshot]);
  const rows = useMemo(() => {
    if (snapshot === null) return [];
    const processes = all.filter((ledger) => gpu === null || ledger.gpu.uuid === gpu).flatMap((ledger) => ledger.processes);
    return stackRows(snapshot, processes.filter((one) => pid === null || one.process.pid === pid), before).filter((row) => matchesRow(row, filter));
  }, [snapshot, before, gpu, filter, pid]);
  if (error !== null) return <Nothing>This moment cannot be shown: {error}.</Nothing>;
  if (snapshot === null) return shown.value === null ? <Waiting /> : <Nothing>Asking what lived{route.value.time === null ? "" : " then"}.</Nothing>;
  const time = timeOf(snapshot);
  const near = events.value.findLast((event) => event.kind !== "threshold" && Math.abs(event.timestamp - cursor.value) < NEAR_SECONDS && (event.kind === "oom" || event.kind === "xid" || event.kind === "crash"));
  const by = route.value.more["by"] ?? "stack";
  return (
    <>
      <Main isTitled>
        <div class="two">
          <div>
            <Title time={time} near={near} />
            {all.map((ledger) => (
              <div class="moment-row" key={ledger.gpu.uuid}>
                <b>{ledger.label}</b>
                <LedgerBar ledger={ledger} owners={false} />
                <span class="num">
                  {gib(ledger.gpu.used_bytes)} / {bytes(ledger.gpu.total_bytes)}
                </span>
              </div>
            ))}
          </div>
          {near?.oom !== undefined && (
            <aside class="card">
              <h2>Why it was refused</h2>
              <RefusalFigures event={near} oom={near.oom} />
              <Why near={near} />
            </aside>
          )}
        </div>
        <div class="chips" style={{ marginTop: "12px" }}>
          <label for="filter">filter</label>
          <input id="filter" type="search" placeholder="process, file, purpose" value={filter} onInput={(event) => go({ filter: event.currentTarget.value })} />
          <Chips
            label="GPU"
            choices={[{ value: null, text: "all" }, ...all.map((one) => ({ value: one.gpu.uuid as string | null, text: gpuShort(one.gpu) }))]}
            chosen={gpu}
            onChoose={(next) => go({ gpu: next, pid: null })}
          />
          <Chips label="by" choices={["stack", "purpose", "thread"].map((value) => ({ value, text: value }))} chosen={by} onChoose={(next) => goMore({ by: next === "stack" ? null : next })} />
          {pid !== null && (
            <button type="button" onClick={() => go({ pid: null })}>
              pid {pid} only ✕
            </button>
          )}
        </div>
        {by === "purpose" ? (
          <ByPurpose ledgers={all.filter((ledger) => gpu === null || ledger.gpu.uuid === gpu)} />
        ) : by === "thread" ? (
          <ByThread pid={pid} />
        ) : (
          <>
            <h2>
              What lived {route.value.time === null ? "now" : "then"} <small class="soft">by stack, {plural(rows.length, "row")}, {bytes(rows.reduce((sum, row) => sum + row.bytes, 0))}</small>
            </h2>
            <Scroll label="stacks">
              <StackTable rows={rows} />
            </Scroll>
            {rows.length > 0 && <Icicle nodes={icicle(rows)} selected={selected.value} onSelect={(row) => (selected.value = row)} />}
            <p class="small soft" style={{ margin: "8px 0" }}>
              Width is bytes; colour is what the memory is for; the outlined frame is the row selected above.
            </p>
          </>
        )}
        <div class="chips">
          <a class="button" href={linkTo({ view: "map", time: route.value.time })}>
            {route.value.time === null ? "Map" : "Map then"}
          </a>
          <a class="button" href={linkTo({ view: "compare", a: recordedBefore(time, COMPARED_SECONDS), b: route.value.time === null ? null : time })}>
            Compare with {clock(recordedBefore(time, COMPARED_SECONDS))}
          </a>
          <button type="button" onClick={() => void navigator.clipboard.writeText(folded(rows))}>
            Copy as folded stacks
          </button>
        </div>
      </Main>
      <Footer>
        blocks of {clockTenths(time)}
        {route.value.time !== null && Math.abs(time - route.value.time) > 0.5 && `, the nearest reading, ${duration(Math.abs(time - route.value.time))} away`}
      </Footer>
    </>
  );
}

function Title({ time, near }: { time: number; near: BlackboxEvent | undefined }) {
  const names = namesOf(events.value);
  const mark = near === undefined ? null : markOf(near, (pid) => names.get(pid) ?? null);
  return (
    <div class="head" style={{ marginBottom: "8px" }}>
      <h1>
        {clockTenths(near?.timestamp ?? time)} {zone(time)}
      </h1>
      {mark !== null && <Tag mark={mark} />}
      {mark !== null && near !== undefined && (
        <p class="soft" style={{ flexBasis: "100%" }}>
          {mark.headline}. Blocks as of {clockTenths(time)}
          {time < near.timestamp ? ", the last reading before." : "."}
        </p>
      )}
    </div>
  );
}

function Why({ near }: { near: BlackboxEvent }) {
  return <Causes report={useReport(near.id, near.kind)} />;
}

function StackTable({ rows }: { rows: readonly StackRow[] }) {
  const most = Math.max(1, ...rows.map((row) => row.bytes));
  return (
    <table>
      <thead>
        <tr>
          <th class="num">held ▾</th>
          <th class="wide">share</th>
          <th class="num">Δ 1 min</th>
          <th class="num">blocks</th>
          <th>process</th>
          <th>what for</th>
          <th>
            allocated at <span class="soft">innermost ‹ callers</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.slice(0, ROWS_SHOWN).map((row) => (
          <tr key={row.key} aria-selected={row.key === selected.value} onClick={() => (selected.value = row.key === selected.value ? null : row.key)} class={(row.change ?? 0) > Math.max(row.bytes * GROWN_SHARE, most * SEEN_SHARE) ? "hot" : ""}>
            <td class="num">
              <b>{bytes(row.bytes)}</b>
            </td>
            <td class="wide">
              <div class="measure" aria-hidden="true">
                {row.purposes.map(({ purpose, bytes: size }) => (
                  <i key={purpose.key} class={fillClass(purpose)} style={{ width: `${(size / most) * 100}%`, ...fillStyle(purpose) }} />
                ))}
              </div>
            </td>
            <td class="num">{row.change === null ? <Absent reason={row.reason ?? `nothing to compare with ${BEFORE_SECONDS} s before`} /> : row.change > 0 ? <b>{change(row.change)}</b> : <span class="soft">{change(row.change)}</span>}</td>
            <td class="num">{row.blocks ?? <Absent reason={row.reason ?? "the allocator does not tell"} />}</td>
            <td class="nowrap">
              <button type="button" class="plain" aria-pressed={row.key === selected.value}>
                {processLabel(row.process)}
              </button>
            </td>
            <td class="nowrap">
              {row.purposes.length === 1 ? (
                <>
                  <Swatch purpose={row.purposes[0]!.purpose} /> {row.purposes[0]!.purpose.name}
                </>
              ) : (
                <span class="soft">
                  {row.purposes
                    .slice(0, 3)
                    .map((one) => one.purpose.name)
                    .join(", ")}
                </span>
              )}
            </td>
            <td class="frames">{row.reason === null ? <Frames frames={row.frames} /> : <Absent reason={row.reason}>n/a: {row.reason}</Absent>}</td>
          </tr>
        ))}
        {rows.length === 0 && (
          <tr>
            <td colSpan={7} class="soft">
              No stack matches.
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function ByPurpose({ ledgers }: { ledgers: readonly GpuLedger[] }) {
  const sums = byPurpose(ledgers.flatMap((ledger) => ledger.segments));
  const total = sums.reduce((sum, one) => sum + one.bytes, 0);
  return (
    <table>
      <thead>
        <tr>
          <th>what for</th>
          <th class="num">held</th>
          <th class="num">blocks</th>
          <th>share of the memory</th>
        </tr>
      </thead>
      <tbody>
        {sums.map((sum) => (
          <tr key={sum.purpose.key}>
            <td>
              <Swatch purpose={sum.purpose} /> {sum.purpose.name}
            </td>
            <td class="num">
              <b>{bytes(sum.bytes)}</b>
            </td>
            <td class="num soft">{sum.blocks ?? "–"}</td>
            <td style={{ width: "50%" }}>
              <div class="measure" style={{ width: "100%" }}>
                <i class={fillClass(sum.purpose)} style={{ width: `${(sum.bytes / total) * 100}%`, ...fillStyle(sum.purpose) }} />
              </div>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ByThread({ pid }: { pid: number | null }) {
  const threads = (lived.value.snapshot?.threads ?? []).filter((thread) => pid === null || thread.pid === pid).toSorted((a, b) => b.allocated_bytes - a.allocated_bytes);
  const names = new Map(lived.value.snapshot?.processes.map((process) => [process.pid, processLabel(process)]));
  return (
    <table>
      <thead>
        <tr>
          <th class="num">held</th>
          <th>process</th>
          <th class="num">thread</th>
          <th>state</th>
          <th>known how</th>
        </tr>
      </thead>
      <tbody>
        {threads.map((thread) => (
          <tr key={`${thread.pid}/${thread.thread_id}/${thread.gpu}`}>
            <td class="num">
              <b>{bytes(thread.allocated_bytes)}</b>
            </td>
            <td>{names.get(thread.pid) ?? thread.pid}</td>
            <td class="num">{thread.thread_id}</td>
            <td>{thread.state}</td>
            <td class="soft">{thread.unknown?.["allocated_bytes"] ?? "told by its allocator"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
