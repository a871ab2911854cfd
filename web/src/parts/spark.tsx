/** The last five minutes of one GPU or process, as a line. */

import { Canvas } from "../draw/canvas";
import { token } from "../data/theme";
import { STRIP_SECONDS } from "../data/store";
import { GAP_SECONDS, type Track } from "../data/series";

/** About as wide as a pixel of a spark is: one that shows what came since looks the same. */
const PIXEL_SECONDS = STRIP_SECONDS / 112;

export function Spark({ track, total, to, hot, label }: { track: Track; total: number; to: number; hot: boolean; label: string }) {
  return (
    <Canvas
      label={label}
      of={[track, total, Math.floor(to / PIXEL_SECONDS), hot]}
      draw={(context, width, height) => {
        context.strokeStyle = token("line");
        context.strokeRect(0, 0.5, width, height - 1);
        context.strokeStyle = token(hot ? "alarm" : "ink");
        context.lineWidth = 1.3;
        context.beginPath();
        traceLine(context, track, to, (time) => width * (1 - (to - time) / STRIP_SECONDS), (value) => height - 2 - (height - 4) * (value / total));
        context.stroke();
      }}
    />
  );
}

/** Adds a track's line up to a time to the path. A gap stays a gap. */
export function traceLine(context: CanvasRenderingContext2D, track: Track, to: number, x: (time: number) => number, y: (value: number) => number): void {
  let before = -Infinity;
  track.times.forEach((time, index) => {
    if (time > to) return;
    const at = [x(time), y(track.values[index]!)] as const;
    if (at[0] >= 0) {
      if (time - before > GAP_SECONDS) context.moveTo(...at);
      else context.lineTo(...at);
    }
    before = at[0] >= 0 ? time : -Infinity;
  });
}
