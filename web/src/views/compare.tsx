/** What is new, grown, gone between A and B? */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Comparison } from "../data/answers";
import { askComparison } from "../data/api";
import { purposeChanges, type StackChangeRow, stackChanges } from "../data/comparison";
import { bytes, change, clock, clockTenths, duration, gib, plural, zone } from "../data/format";
import { gpuShort, processLabel } from "../data/ledger";
import { whileVisible } from "../data/poll";
import { go, gpuLeaves, linkTo, live, noRecording, now, recordedBefore, recordedSince, route, whyNotRecorded } from "../data/store";
import { Chips, Frames, Scroll, Swatch } from "../parts/basics";
import { Footer, Main } from "../parts/frame";
import { movedFrom } from "../parts/moves";
import { Overlay } from "../parts/overlay";

const BEFORE_SECONDS = 120;
const BACK_SECONDS = [60, 120, 300, 900];
const AGAIN_MS = 5000;
const ROWS_SHOWN = 100;
/** Smaller changes are rounding beside the largest. */
const NAMED_SHARE = 0.02;

const compared = signal<{ comparison: Comparison | null; error: string | null }>({ comparison: null, error: null });
const selected = signal<string | null>(null);

export function Compare() {
  const { a, b, gpu } = route.value;
  useEffect(() => {
    if (a === null) {
      const end = route.peek().time ?? now.peek();
      if (recordedSince.value !== null && live.peek() !== null) go({ a: twoMinutesBefore(end), b: route.peek().time });
      return undefined;
    }
    const why = whyNotRecorded(a);
    if (why !== null) {
      compared.value = { comparison: null, error: why };
      return undefined;
    }
    let isWanted = true;
    const load = () =>
      askComparison(a, b, gpu)
        .then((comparison) => isWanted && (compared.value = { comparison, error: null }))
        .catch((error: unknown) => isWanted && (compared.value = { comparison: null, error: error instanceof Error ? error.message : String(error) }));
    void load();
    const stop = b === null ? whileVisible(load, AGAIN_MS) : undefined;
    return () => {
      isWanted = false;
      stop?.();
    };
  }, [a, b, gpu, recordedSince.value, noRecording.value]);
  const { comparison, error } = compared.value;
  return (
    <>
      <Main isTitled={a !== null}>
        {a !== null && <Times a={a} b={b} comparison={comparison} />}
        {a === null && noRecording.value !== null && <p class="empty">There is nothing to compare with: {noRecording.value}.</p>}
        {error !== null && (
          <p class="empty">
            These times cannot be compared: {error}.{" "}
            <button type="button" onClick={() => go({ a: null, b: null, time: null })}>
              The last two minutes
            </button>
          </p>
        )}
        {comparison !== null && a !== null && <Changes comparison={comparison} a={a} b={b} />}
      </Main>
      <Footer>{b === null ? "A from the recording, B is now" : "from the recording"}</Footer>
    </>
  );
}

/** Or where what is known of these minutes begins: a server may have rested before. */
function twoMinutesBefore(end: number): number {
  const begin = movedFrom.peek() ?? recordedBefore(end, 0);
  const wanted = end - BEFORE_SECONDS;
  return recordedBefore(begin > wanted ? Math.min(end, Math.ceil(begin) + 1) : Math.round(wanted), 0);
}

function Times({ a, b, comparison }: { a: number; b: number | null; comparison: Comparison | null }) {
  const end = b ?? now.value;
  return (
    <>
      <div class="head" style={{ alignItems: "center" }}>
        <h1>
          {comparison === null ? `Two times, ${duration(Math.abs(end - a))} apart` : `${change(comparison.delta_bytes)} in ${duration(Math.abs(end - a))}`}
        </h1>
        <span>
          <b>A</b>{" "}
          <button type="button" title="look at that time" onClick={() => go({ time: a })}>
            {clockTenths(a)} {zone(a)}
          </button>{" "}
          → <b>B</b>{" "}
          <button type="button" title="look at that time" onClick={() => go({ time: b })}>
            {b === null ? "now" : `${clockTenths(b)} ${zone(b)}`}
          </button>{" "}
          <button type="button" disabled={b === null} onClick={() => go({ a: b, b: a })}>
            swap <kbd>X</kbd>
          </button>
        </span>
        {comparison !== null && (
          <span class="soft">
            {gib(comparison.a.used_bytes)} → {bytes(comparison.b.used_bytes)} used{route.value.gpu === null ? " on all GPUs" : ""}
            {comparison.unchanged > 0 && `; ${plural(comparison.unchanged, "process", "processes")} did not change`}
          </span>
        )}
      </div>
      <div class="chips">
        <Chips
          label="GPU"
          choices={[{ value: null, text: "all" }, ...gpuLeaves.value.map((one) => ({ value: one.gpu.uuid as string | null, text: gpuShort(one.gpu) }))]}
          chosen={route.value.gpu}
          onChoose={(gpu) => go({ gpu })}
        />
        <span>A</span>
        {BACK_SECONDS.map((seconds) => {
          const why = whyNotRecorded(end - seconds);
          return (
            <button type="button" key={seconds} disabled={why !== null} title={why ?? undefined} onClick={() => go({ a: Math.round(end - seconds) })}>
              {duration(seconds)} before B
            </button>
          );
        })}
        {recordedSince.value !== null && recordedSince.value < end - 1 && (
          <button type="button" onClick={() => go({ a: Math.ceil(recordedSince.value! + 1) })}>
            {clock(recordedSince.value)}, when the recording begins
          </button>
        )}
        {b !== null && (
          <button type="button" onClick={() => go({ b: null })}>
            B is now
          </button>
        )}
      </div>
    </>
  );
}

function Changes({ comparison, a, b }: { comparison: Comparison; a: number; b: number | null }) {
  const rows = stackChanges(comparison);
  const most = Math.max(1, ...comparison.processes.map((process) => Math.abs(process.delta_bytes)));
  const first = comparison.processes[0];
  if (first === undefined) return <p class="empty">No process holds more or less than then.</p>;
  return (
    <>
      <Lead rows={rows} comparison={comparison} />
      <div class="two even">
        <section class="card">
          <h2>By process</h2>
          <table>
            <tbody>
              {comparison.processes.map((process) => (
                <tr key={`${process.pid}/${process.gpu_uuid}`}>
                  <td>
                    <a href={linkTo({ view: "processes", pid: process.pid })}>{processLabel(process)}</a>
                  </td>
                  <td class="wide" style={{ width: "45%" }}>
                    <Both delta={process.delta_bytes} most={most} />
                  </td>
                  <td class="num">
                    {process.change === "new" || process.change === "gone" ? <span class="tag">{process.change}</span> : null} <b>{change(process.delta_bytes)}</b>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <ByPurpose comparison={comparison} />
      </div>
      <h2 style={{ marginTop: "14px" }}>
        By stack and purpose <small class="soft">largest change first, {plural(rows.length, "row")}</small>
      </h2>
      <Scroll label="changes by stack">
        <Stacks rows={rows.slice(0, ROWS_SHOWN)} />
      </Scroll>
      <Overlay gpu={first.gpu_uuid} pid={first.pid} name={processLabel(first)} a={a} b={b} isNew={first.change === "new"} />
    </>
  );
}

/** The one sentence: who took most, and what for. */
function Lead({ rows, comparison }: { rows: readonly StackChangeRow[]; comparison: Comparison }) {
  const who = comparison.processes[0]!;
  const own = rows.filter((row) => row.process === who && Math.abs(row.delta) >= Math.abs(who.delta_bytes) * NAMED_SHARE).slice(0, 2);
  const verb = who.delta_bytes > 0 ? "took" : who.delta_bytes < 0 ? "gave back" : "holds as much as before, for other purposes:";
  return (
    <p class="lead" style={{ marginBottom: "10px" }}>
      <b>{processLabel(who)}</b> {verb} {who.delta_bytes !== 0 && bytes(Math.abs(who.delta_bytes))}
      {own.length > 0 && ": "}
      {own.map((row, index) => (
        <span key={row.key}>
          {index > 0 && ", "}
          {change(row.delta)} of {row.purpose.name}
          {row.frames[0] !== undefined && (
            <>
              {" "}
              from <code>{row.frames[0]}</code>
            </>
          )}
        </span>
      ))}
      .
    </p>
  );
}

/** A bar to the right for more, to the left for less. */
function Both({ delta, most }: { delta: number; most: number }) {
  const share = (Math.abs(delta) / most) * 50;
  return (
    <div class="both" aria-hidden="true">
      <i class={delta < 0 ? "less" : ""} style={delta < 0 ? { right: "50%", width: `${share}%` } : { left: "50%", width: `${share}%` }} />
    </div>
  );
}

function ByPurpose({ comparison }: { comparison: Comparison }) {
  const rows = purposeChanges(comparison);
  const most = Math.max(1, ...rows.map((row) => Math.abs(row.delta)));
  return (
    <section class="card">
      <h2>
        By purpose <small class="soft">sums of the rows below</small>
      </h2>
      <table>
        <tbody>
          {rows.map((row) => (
            <tr key={row.purpose.key}>
              <td>
                <Swatch purpose={row.purpose} /> {row.purpose.name}
              </td>
              <td class="wide" style={{ width: "35%" }}>
                <Both delta={row.delta} most={most} />
              </td>
              <td class="num soft">
                {gib(row.before)} → {gib(row.after)} GiB
              </td>
              <td class="num">
                <b>{change(row.delta)}</b>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Stacks({ rows }: { rows: readonly StackChangeRow[] }) {
  const most = Math.max(1, ...rows.map((row) => Math.abs(row.delta)));
  return (
    <table>
      <thead>
        <tr>
          <th class="num">change</th>
          <th class="wide">− less · more +</th>
          <th>kind</th>
          <th class="num">A</th>
          <th class="num">B</th>
          <th>process</th>
          <th>what for</th>
          <th>allocated at</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <tr key={row.key} class={index === 0 && row.delta > 0 ? "hot" : ""} aria-selected={row.key === selected.value} onClick={() => (selected.value = row.key === selected.value ? null : row.key)}>
            <td class="num">
              <b>{change(row.delta)}</b>
            </td>
            <td class="wide">
              <Both delta={row.delta} most={most} />
            </td>
            <td>
              <span class="tag">{row.word}</span>
            </td>
            <td class="num">{bytes(row.before)}</td>
            <td class="num">{bytes(row.after)}</td>
            <td class="nowrap">{processLabel(row.process)}</td>
            <td class="nowrap">
              <Swatch purpose={row.purpose} /> {row.purpose.name}
            </td>
            <td class="frames">{row.note === null ? <Frames frames={row.frames} /> : <span class="soft">{row.note}</span>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

