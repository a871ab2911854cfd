/** The one clock of the page: a lane for each GPU over the last minutes, marks above, and the time looked at. */

import { useRef } from "preact/hooks";
import { clock, clockTenths, percent } from "../data/format";
import { gpuShort } from "../data/ledger";
import { markOf } from "../data/marks";
import { courseOf, levels, valueAt, windowFrom } from "../data/series";
import { cursor, events, forecast, gpuLeaves, live, lookAt, now, route, STRIP_SECONDS, tracksShown, tracksSeeded, tracksVersion } from "../data/store";
import { token } from "../data/theme";
import { pointed } from "../data/timeline";
import { leaves, ledgersOf } from "../data/ledger";
import { Canvas, positionOf } from "../draw/canvas";

const LANES_MAX = 5;
const TOP = 9;
/** A change that is finer than that is not seen. */
const LEVELS_PER_PX = 4;
/** A beginning so near to that of the strip is none that would be told. */
const SECONDS_UNTOLD_MAX = 3;

export function Strip() {
  const isHeld = useRef(false);
  const shownLeaves = gpuLeaves.value.length > 0 ? gpuLeaves.value : live.value === null ? [] : leaves(ledgersOf(live.value));
  const lanes = shownLeaves.slice(0, LANES_MAX);
  void tracksVersion.value;
  const { a, b, gpu: chosen, time: past } = route.value;
  const end = Math.max(now.value, 1);
  const filling = new Set(forecast.value?.gpus.filter((outlook) => outlook.full_in_seconds !== null).map((outlook) => outlook.gpu_uuid));
  const begin = past !== null && past < end - STRIP_SECONDS ? past - STRIP_SECONDS / 2 : end - STRIP_SECONDS;

  const first = windowFrom(lanes.map(({ gpu }) => tracksShown.value.get(gpu.uuid)), end, STRIP_SECONDS);
  const known = first !== null && begin === end - STRIP_SECONDS && first > begin + SECONDS_UNTOLD_MAX ? first : null; // where what is known begins, if in sight

  const timeAt = (event: PointerEvent) => {
    const width = (event.currentTarget as HTMLElement).clientWidth;
    return begin + (positionOf(event).x / width) * STRIP_SECONDS;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Home") lookAt(begin);
    if (event.key === "End") lookAt(Infinity);
  };
  return (
    <section class="strip" aria-label="time">
      <ol aria-hidden="true">
        {lanes.map(({ gpu }) => (
          <li key={gpu.uuid}>{gpu.uuid === chosen ? <b>{laneName(gpuShort(gpu))}</b> : laneName(gpuShort(gpu))}</li>
        ))}
        {shownLeaves.length > LANES_MAX && <li>+ {shownLeaves.length - LANES_MAX} more</li>}
      </ol>
      <Canvas
        label="time looked at"
        on="panel"
        of={[Math.floor(end), past, shownLeaves.map(({ gpu }) => gpu.uuid).join(), tracksSeeded.value, tracksShown.value, forecast.value, events.value, pointed.value, a, b]}
        role="slider"
        attributes={{
          tabIndex: 0,
          "aria-valuemin": Math.round(begin),
          "aria-valuemax": Math.round(end),
          "aria-valuenow": Math.round(cursor.value),
          "aria-valuetext": past === null ? `now, ${clock(cursor.value)}` : clockTenths(past),
          onKeyDown,
          onPointerDown: (event) => {
            isHeld.current = true;
            event.currentTarget.setPointerCapture(event.pointerId);
            lookAt(timeAt(event));
          },
          onPointerMove: (event) => isHeld.current && lookAt(timeAt(event)),
          onPointerUp: () => {
            isHeld.current = false;
          },
        }}
        draw={(context, width, height) => {
          const x = (time: number) => ((time - begin) / STRIP_SECONDS) * width;
          const laneHeight = Math.max(6, Math.min(14, (height - TOP - 3) / Math.max(1, lanes.length)));
          lanes.forEach(({ gpu }, index) => {
            const top = TOP + index * laneHeight;
            context.fillStyle = token("shade");
            context.fillRect(0, top, width, laneHeight - 2);
            context.fillStyle = token(filling.has(gpu.uuid) ? "alarm" : "hatch");
            for (const { from, to, value } of levels(tracksShown.value.get(gpu.uuid), end, gpu.total_bytes / (laneHeight - 2) / LEVELS_PER_PX)) {
              const size = (value / gpu.total_bytes) * (laneHeight - 2);
              const [left, right] = [Math.floor(x(from)), Math.ceil(x(to))];
              if (right > 0 && left < width) context.fillRect(left, top + laneHeight - 2 - size, right - left, size);
            }
          });
          if (known !== null) drawBegin(context, x(known), height);
          drawMarks(context, x, width, height);
          if (pointed.value !== null) drawPointed(context, x(pointed.value), height);
          for (const [name, time] of [["A", a], ["B", b]] as const) if (time !== null) drawLetter(context, name, x(time), height);
          drawCursor(context, Math.min(width - 1.5, Math.max(1, x(past ?? end))), height);
        }}
      />
      <aside>
        {past !== null && past < end - STRIP_SECONDS ? "5 min around" : known === null ? "last 5 min" : `since ${clock(known)}`} · 0–100 %{known === null && " each"}
        <br />
        drag = look back <kbd>←</kbd> <kbd>→</kbd>
      </aside>
      <p class="visually-hidden">
        {lanes.map(({ gpu, label }) => {
          const course = courseOf(tracksShown.value.get(gpu.uuid), gpu.total_bytes, cursor.value);
          const at = valueAt(tracksShown.value.get(gpu.uuid), cursor.value);
          return `${label}: ${at === null ? "not recorded" : percent(at / gpu.total_bytes)} used, ${course?.kind ?? "no course"}. `;
        })}
      </p>
    </section>
  );
}

function laneName(short: string): string {
  return short.length < 3 ? `GPU ${short}` : short;
}

function drawMarks(context: CanvasRenderingContext2D, x: (time: number) => number, width: number, height: number): void {
  context.textAlign = "center";
  context.font = "9px system-ui, sans-serif";
  for (const event of events.value) {
    const at = x(event.timestamp);
    if (at < 0 || at > width || event.kind === "process_exit") continue;
    const mark = markOf(event, () => null);
    if (!mark.isOnAxis) continue;
    context.fillStyle = token(mark.tone === "plain" ? "ink" : mark.tone);
    context.fillText(mark.shape, at, 8);
    if (mark.tone === "alarm") context.fillRect(at - 0.75, TOP, 1.5, height - TOP);
  }
}

/** Before it nothing is known. */
function drawBegin(context: CanvasRenderingContext2D, at: number, height: number): void {
  context.strokeStyle = token("soft");
  context.setLineDash([2, 2]);
  context.beginPath();
  context.moveTo(at - 0.5, TOP);
  context.lineTo(at - 0.5, height);
  context.stroke();
  context.setLineDash([]);
}

/** Where the pointer is on a chart below. */
function drawPointed(context: CanvasRenderingContext2D, at: number, height: number): void {
  context.fillStyle = token("focus");
  context.fillRect(at - 0.5, TOP, 1, height - TOP);
}

function drawCursor(context: CanvasRenderingContext2D, at: number, height: number): void {
  context.fillStyle = token("ink");
  context.fillRect(at - 1, 0, 2, height);
  context.beginPath();
  context.moveTo(at - 5, height);
  context.lineTo(at + 5, height);
  context.lineTo(at, height - 6);
  context.fill();
}

function drawLetter(context: CanvasRenderingContext2D, name: string, at: number, height: number): void {
  context.fillStyle = token("ink");
  context.fillRect(at - 0.5, 0, 1, height);
  context.fillRect(at - 7, 0, 14, 13);
  context.fillStyle = token("paper");
  context.font = "650 10px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(name, at, 10);
}
