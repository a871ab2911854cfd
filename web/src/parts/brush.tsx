/** The whole recording, with the range shown in it: dragging inside it moves it, at its ends resizes it, elsewhere draws another. */

import { useRef } from "preact/hooks";
import { clock } from "../data/format";
import { events, goMore, now, recordedSince } from "../data/store";
import { token } from "../data/theme";
import { range, whole } from "../data/timeline";
import { Canvas, positionOf } from "../draw/canvas";

/** So near to an end the pointer holds that end. */
const END_PX = 7;
const SECONDS_MIN = 5;
/** Share of the range that an arrow key moves it by. */
const KEY_STEP = 0.25;

/** What the pointer holds: where it was pressed, and the range then. */
interface Grip {
  what: "move" | "left" | "right" | "new";
  at: number;
  from: number;
  to: number;
}

function show(from: number, to: number, begin: number, end: number): void {
  const size = Math.min(end - begin, Math.max(SECONDS_MIN, to - from));
  const left = Math.min(Math.max(begin, from), end - size);
  goMore({ from: left.toFixed(1), to: (left + size).toFixed(1) });
}

export function Brush({ gpuUuid }: { gpuUuid: string }) {
  const grip = useRef<Grip | null>(null);
  const track = whole.value?.series.find((series) => series.gpu_uuid === gpuUuid && series.pid === null);
  const begin = recordedSince.value ?? now.value - 300;
  const end = now.value;
  const { from, to } = range.value;
  const timeAt = (event: PointerEvent) => begin + (positionOf(event).x / (event.currentTarget as HTMLElement).clientWidth) * (end - begin);
  const gripAt = (event: PointerEvent): Grip => {
    const at = timeAt(event);
    const near = (END_PX / (event.currentTarget as HTMLElement).clientWidth) * (end - begin);
    const what = Math.abs(at - from) < near && to - from > 3 * near ? "left" : Math.abs(at - to) < near && to - from > 3 * near ? "right" : at > from && at < to ? "move" : "new";
    return { what, at, from, to };
  };
  const drag = (held: Grip, at: number) => {
    if (held.what === "move") show(held.from + at - held.at, held.to + at - held.at, begin, end);
    else if (held.what === "left") show(Math.min(at, held.to - SECONDS_MIN), held.to, begin, end);
    else if (held.what === "right") show(held.from, Math.max(at, held.from + SECONDS_MIN), begin, end);
    else show(Math.min(at, held.at), Math.max(at, held.at), begin, end);
  };
  return (
    <div class="brush">
      <Canvas
        label="range shown, within the whole recording"
        of={[begin, Math.floor(end), from, to, track, whole.value, events.value]}
        role="slider"
        attributes={{
          tabIndex: 0,
          "aria-valuemin": Math.round(begin),
          "aria-valuemax": Math.round(end),
          "aria-valuenow": Math.round(to),
          "aria-valuetext": `${clock(from)} to ${clock(to)}`,
          onKeyDown: (event) => {
            const by = { ArrowLeft: -KEY_STEP, ArrowRight: KEY_STEP }[event.key];
            if (by === undefined || event.shiftKey) return;
            event.preventDefault();
            event.stopPropagation();
            show(from + by * (to - from), to + by * (to - from), begin, end);
          },
          onPointerDown: (event) => {
            grip.current = gripAt(event);
            event.currentTarget.setPointerCapture(event.pointerId);
          },
          onPointerMove: (event) => {
            if (grip.current !== null) drag(grip.current, timeAt(event));
            else event.currentTarget.style.cursor = { move: "grab", left: "ew-resize", right: "ew-resize", new: "crosshair" }[gripAt(event).what];
          },
          onPointerUp: () => (grip.current = null),
          onDblClick: () => goMore({ from: null, to: null }),
        }}
        draw={(context, width, height) => {
          const x = (time: number) => ((time - begin) / Math.max(1, end - begin)) * width;
          context.fillStyle = token("sel");
          context.fillRect(x(from), 0, Math.max(2, x(to) - x(from)), height);
          const values = track?.mean ?? [];
          const [start, step] = [whole.value?.start ?? begin, whole.value?.step_seconds ?? 1];
          const most = Math.max(1, ...values.map((value) => value ?? 0));
          context.fillStyle = token("hatch");
          values.forEach((value, index) => {
            if (value === null) return;
            const size = (value / most) * (height - 4);
            const left = x(start + index * step);
            context.fillRect(left, height - size, Math.max(1, x(start + (index + 1) * step) - left + 0.5), size);
          });
          context.fillStyle = token("focus");
          for (const at of [Math.max(0, x(from)), Math.min(width - 2, x(to) - 2)]) {
            context.fillRect(at, 0, 2, height);
            context.fillRect(at - 2, height / 2 - 7, 6, 14);
          }
          context.fillStyle = token("alarm");
          for (const event of events.value) if (event.kind === "oom") context.fillRect(x(event.timestamp) - 1, 0, 2, 7);
        }}
      />
      <small class="soft" style={{ display: "flex", justifyContent: "space-between" }}>
        <span>{clock(begin)}, the recording begins</span>
        <span class="hints">drag to choose what is shown above</span>
        <span>now</span>
      </small>
    </div>
  );
}
