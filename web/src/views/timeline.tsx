/** When did it begin? */

import { useEffect, useMemo } from "preact/hooks";
import { bandsByProcess, bandsByPurpose, type BandStack, indexAt, newestOf, NO_BANDS } from "../data/bands";
import { bytes, changeGib, clock, clockTenths, duration, gib, zone } from "../data/format";
import { gpuShort, type GpuLedger } from "../data/ledger";
import { markOf, namesOf } from "../data/marks";
import { events, forecast, go, goLive, goMore, gpuLeaves, linkTo, lookAt, noRecording, now, recordedSince, route, togglePause } from "../data/store";
import { followStacks, stackBandsOf, stacksError } from "../data/stack_history";
import { ALL, eventsWithin, followTimeline, pointed, range, RANGES, recorded, timelineError } from "../data/timeline";
import { isDark } from "../data/theme";
import { fillingOf } from "../data/verdict";
import { BandChart, describeChart } from "../parts/band_chart";
import { Chips, Swatch, Tag } from "../parts/basics";
import { Brush } from "../parts/brush";
import { Footer, Main, Nothing, Waiting } from "../parts/frame";

const LARGE_PX = 340;
const SMALL_PX = 66;
const MARKS_SHOWN = 8;
/** A prediction further off than this would squeeze what was measured. */
const PREDICTED_SHARE_MAX = 0.6;
const ZOOM_FACTOR = 2;

const BANDS = ["purpose", "process", "stack"] as const;
type Bands = (typeof BANDS)[number];

function bandsOf(): Bands {
  return BANDS.find((one) => one === route.value.more["bands"]) ?? "purpose";
}

export function Timeline() {
  useEffect(followTimeline, []);
  const isByStack = bandsOf() === "stack";
  useEffect(() => (isByStack ? followStacks(stackRange) : undefined), [isByStack]);
  const all = gpuLeaves.value;
  if (noRecording.value !== null) return <Nothing>There is nothing to draw: {noRecording.value}.</Nothing>;
  if (all.length === 0) return <Waiting />;
  const chosen = chosenOf(all);
  const { from, to, isFixed } = range.value;
  const chosenRange = route.value.more["range"] ?? String(RANGES[0].value);
  return (
    <>
      <Main>
        <div class="chips">
          <Chips label="GPU" choices={all.map((one) => ({ value: one.gpu.uuid, text: gpuShort(one.gpu) }))} chosen={chosen.gpu.uuid} onChoose={(gpu) => go({ gpu })} />
          <Chips
            label="bands"
            choices={BANDS.map((value) => ({ value: value as Bands, text: value }))}
            chosen={bandsOf()}
            onChoose={(bands) => goMore({ bands: bands === "purpose" ? null : bands })}
          />
          <span class="end">
            <button type="button" aria-pressed={route.value.time !== null} onClick={togglePause}>
              {route.value.time === null ? "Pause" : "Go on"} <kbd>space</kbd>
            </button>
            {[...RANGES, { value: ALL, text: "all" }].map((one) => (
              <button type="button" key={one.value} aria-pressed={!isFixed && chosenRange === String(one.value)} onClick={() => goMore({ range: String(one.value), from: null, to: null })}>
                {one.text}
              </button>
            ))}
          </span>
        </div>
        <div class="two">
          <Charts all={all} chosen={chosen} />
          <Side chosen={chosen} />
        </div>
      </Main>
      <Footer>
        {recorded.value !== null && `every ${duration(recorded.value.step_seconds)}; `}
        {recordedSince.value !== null && from <= recordedSince.value ? `recorded since ${clock(recordedSince.value)}, nothing before; shown to ` : `${clock(from)} to `}
        {clock(to)} {zone(to)}
      </Footer>
    </>
  );
}

function chosenOf(all: readonly GpuLedger[]): GpuLedger {
  return all.find((ledger) => ledger.gpu.uuid === route.value.gpu) ?? mostUrgent(all);
}

/** What is read by stack: the large chart's range. */
function stackRange(): { gpu: string; from: number; to: number } | null {
  if (gpuLeaves.value.length === 0 || recordedSince.value === null) return null;
  const { from, to } = range.value;
  return { gpu: chosenOf(gpuLeaves.value).gpu.uuid, from: Math.max(from, recordedSince.value), to };
}

/** The one that fills first, else the one with the last refusal, else the first. */
function mostUrgent(all: readonly GpuLedger[]): GpuLedger {
  const refused = events.value.findLast((event) => event.kind === "oom")?.gpu_uuid;
  const filling = all.map((ledger) => [ledger, fillingOf(forecast.value, ledger.gpu.uuid)?.full_in_seconds ?? Infinity] as const);
  const [first, seconds] = filling.toSorted((a, b) => a[1] - b[1])[0]!;
  return seconds < Infinity ? first : (all.find((ledger) => ledger.gpu.uuid === refused) ?? first);
}

/** By stack only the large chart is: the small ones stay by purpose. */
function chartOf(ledger: GpuLedger, isLarge: boolean): BandStack {
  if (isLarge && bandsOf() === "stack") return stackBandsOf(ledger.gpu.uuid) ?? NO_BANDS;
  if (recorded.value === null) return NO_BANDS;
  return (bandsOf() === "process" ? bandsByProcess : bandsByPurpose)(recorded.value, ledger.gpu.uuid);
}

function Charts({ all, chosen }: { all: readonly GpuLedger[]; chosen: GpuLedger }) {
  const { from, to } = range.value;
  const prediction = useMemo(() => predictionOf(chosen, from, to), [chosen.gpu.uuid, from, to, forecast.value, route.value]);
  const until = Math.max(to, prediction?.atMax ?? to); // one axis for all charts
  return (
    <div style={{ minWidth: 0 }}>
      {timelineError.value !== null && <p class="alarm">{timelineError.value}</p>}
      <OneChart ledger={chosen} prediction={prediction} until={until} isLarge />
      {all
        .filter((ledger) => ledger !== chosen)
        .map((ledger) => (
          <OneChart key={ledger.gpu.uuid} ledger={ledger} prediction={null} until={until} isLarge={false} />
        ))}
      <Brush gpuUuid={chosen.gpu.uuid} />
    </div>
  );
}

type Prediction = ReturnType<typeof predictionOf>;

function OneChart({ ledger, prediction, until, isLarge }: { ledger: GpuLedger; prediction: Prediction; until: number; isLarge: boolean }) {
  const { gpu, label } = ledger;
  const bands = bandsOf();
  const chart = useMemo(() => chartOf(ledger, isLarge), [recorded.value, stackBandsOf(gpu.uuid), bands, gpu.uuid, isLarge]);
  const { from, to } = range.value;
  const marks = eventsWithin(from, to).filter((event) => event.gpu_uuid === gpu.uuid);
  const name = gpu.mig === null ? "all of the GPU" : "all of the slice";
  return (
    <div class={isLarge ? "chart large" : "chart"}>
      <span class="title">
        {isLarge ? `${label}, GiB` : label}
        {isLarge && bands === "stack" && chart.times.length > 0 && <span class="soft"> · by stack, at {chart.times.length} moments of the recording</span>}
      </span>
      {chart.times.length === 0 && isLarge && <p class="asking">{bands === "stack" && stacksError.value !== null ? stacksError.value : recorded.value === null || (bands === "stack" && stackBandsOf(gpu.uuid) === null) ? "Asking the recording." : "Nothing was recorded in this range."}</p>}
      <BandChart
        chart={chart}
        total={gpu.total_bytes}
        from={from}
        to={until}
        height={isLarge ? LARGE_PX : SMALL_PX}
        label={describeChart(label, chart, gpu.total_bytes)}
        limitName={`${name}: ${bytes(gpu.total_bytes)}`}
        marks={marks}
        cursor={route.value.time}
        prediction={prediction}
        isDark={isDark.value}
        isLarge={isLarge}
        onZoom={(left, right, isMarking) => (isMarking ? go({ a: left, b: right }) : goMore({ from: left.toFixed(1), to: right.toFixed(1) }))}
        onReset={() => goMore({ from: null, to: null })}
        onPoint={(time) => (pointed.value = time)}
        onPick={lookAt}
      />
    </div>
  );
}

function predictionOf(ledger: GpuLedger, from: number, to: number) {
  const filling = route.value.time === null && !range.value.isFixed ? fillingOf(forecast.value, ledger.gpu.uuid) : null;
  if (filling === null || forecast.value === null) return null;
  const made = forecast.value.timestamp;
  const [at, atMin, atMax] = [filling.full_in_seconds, filling.full_in_seconds_min ?? filling.full_in_seconds, filling.full_in_seconds_max ?? filling.full_in_seconds].map((seconds) => made + seconds);
  if (at! - to > (to - from) * PREDICTED_SHARE_MAX) return null;
  return { at: at!, atMin: atMin!, atMax: Math.min(atMax!, to + (to - from) * PREDICTED_SHARE_MAX), fromBytes: ledger.gpu.used_bytes, fromTime: to };
}

function Side({ chosen }: { chosen: GpuLedger }) {
  return (
    <aside class="side">
      <Readings chosen={chosen} time={pointed.value ?? route.value.time} />
      <section class="card">
        <h2>
          {route.value.time === null ? "Now" : "At the cursor"} <small class="soft">{clockTenths(route.value.time ?? now.value)}</small>
        </h2>
        <div class="chips" style={{ marginBottom: 0 }}>
          <a class="button main" href={linkTo({ view: "moment", time: route.value.time ?? now.value, gpu: chosen.gpu.uuid })}>
            What lived <kbd>M</kbd>
          </a>
          <button type="button" onClick={() => go({ a: route.value.time ?? now.value })}>
            Mark A <kbd>A</kbd>
          </button>
          <button type="button" onClick={() => go({ b: route.value.time ?? now.value })}>
            Mark B <kbd>B</kbd>
          </button>
          {route.value.a !== null && (
            <a class="button" href={linkTo({ view: "compare" })}>
              Compare A{route.value.b === null ? " with now" : " with B"} <kbd>C</kbd>
            </a>
          )}
        </div>
        {route.value.a !== null && (
          <p class="small soft">
            A {clockTenths(route.value.a)}
            {route.value.b !== null && `, B ${clockTenths(route.value.b)}`}
          </p>
        )}
      </section>
      <Marks />
      <p class="card small soft">
        click: look at that time · drag: zoom, with shift: mark A and B · double-click: all · <kbd>W</kbd> <kbd>S</kbd> zoom · <kbd>←</kbd> <kbd>→</kbd> step · <kbd>N</kbd> next mark
      </p>
    </aside>
  );
}

/** What stood at a time; without one, at the newest that is recorded. */
function Readings({ chosen, time }: { chosen: GpuLedger; time: number | null }) {
  const bands = bandsOf();
  const chart = useMemo(() => chartOf(chosen, true), [recorded.value, stackBandsOf(chosen.gpu.uuid), bands, chosen.gpu.uuid]);
  const index = time === null ? newestOf(chart.used) : indexAt(chart.times, time);
  const used = index === null ? null : (chart.used[index] ?? null);
  return (
    <section class="card">
      <table>
        <thead>
          <tr>
            <th>GiB at {clock(index === null ? (time ?? now.value) : chart.times[index]!)}</th>
            <th class="num">held</th>
            <th class="num">Δ start</th>
            <th class="num">peak</th>
          </tr>
        </thead>
        <tbody>
          {chart.bands.toReversed().map((band) => {
            const [value, first] = [index === null ? null : (band.values[index] ?? null), band.values.find((one) => one !== null) ?? null];
            return (
              <tr key={band.key}>
                <td class={bands === "stack" ? "wrap" : ""}>
                  <Swatch purpose={band.purpose} /> {band.name}
                </td>
                <td class="num">
                  <b>{value === null ? "–" : gib(value)}</b>
                </td>
                <td class="num">{value === null || first === null ? "–" : changeGib(value - first)}</td>
                <td class="num soft">{gib(Math.max(0, ...band.values.map((one) => one ?? 0)))}</td>
              </tr>
            );
          })}
          <tr>
            <td>
              <b>used</b>
            </td>
            <td class="num">
              <b>{used === null ? "–" : gib(used)}</b>
            </td>
            <td class="num">{used === null ? "–" : changeGib(used - (chart.used.find((one) => one !== null) ?? used))}</td>
            <td class="num soft">{gib(Math.max(0, ...chart.used.map((one) => one ?? 0)))}</td>
          </tr>
          {chart.lines.map((line) => (
            <tr key={line.key}>
              <td>
                <i class={`line ${line.key}`} aria-hidden="true" /> {line.name}
              </td>
              <td class="num">{index === null || line.values[index] == null ? "–" : gib(line.values[index])}</td>
              <td class="num">{index === null || line.values[index] == null ? "–" : changeGib(line.values[index] - (line.values.find((one) => one !== null) ?? 0))}</td>
              <td class="num soft">{gib(Math.max(0, ...line.values.map((one) => one ?? 0)))}</td>
            </tr>
          ))}
          <tr>
            <td>free on {chosen.gpu.mig === null ? "GPU" : "slice"}</td>
            <td class="num">{used === null ? "–" : gib(chosen.gpu.total_bytes - chosen.gpu.driver_reserved_bytes - used)}</td>
            <td />
            <td />
          </tr>
        </tbody>
      </table>
      {chart.times.length === 0 && recorded.value !== null && bands !== "stack" && <p class="soft small">Nothing recorded in this range.</p>}
    </section>
  );
}

function Marks() {
  const names = namesOf(events.value);
  const { from, to } = range.value;
  const marks = eventsWithin(from, to).map((event) => markOf(event, (pid) => names.get(pid) ?? null));
  const shown = marks.filter((mark) => mark.isOnAxis).toReversed();
  return (
    <section class="card marks">
      <h2>
        Marks <small class="soft">in view</small>
      </h2>
      {shown.slice(0, MARKS_SHOWN).map((mark) => (
        <button type="button" class="plain incident" key={mark.event.id} onClick={() => lookAt(mark.event.timestamp)}>
          <span class="line">
            <Tag mark={mark} />
            <span class="soft">{clock(mark.event.timestamp)}</span>
          </span>
          <span class="what small">{mark.headline}</span>
        </button>
      ))}
      {shown.length > MARKS_SHOWN && <p class="soft small">and {shown.length - MARKS_SHOWN} more: zoom in</p>}
      {shown.length === 0 && <p class="soft">none</p>}
    </section>
  );
}

function zoom(factor: number): void {
  const { from, to } = range.peek();
  const middle = route.peek().time ?? to;
  const half = ((to - from) * factor) / 2;
  const right = Math.min(now.peek(), middle + half);
  goMore({ from: (right - 2 * half).toFixed(1), to: right.toFixed(1) });
}

export const timelineKeys: Readonly<Record<string, () => void>> = {
  w: () => zoom(1 / ZOOM_FACTOR),
  s: () => zoom(ZOOM_FACTOR),
  l: () => {
    goLive();
    goMore({ from: null, to: null });
  },
};
