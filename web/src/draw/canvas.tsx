/** A canvas that fits its box, drawn when what it shows has changed, in the same frame as the text around it. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { AriaRole, CanvasHTMLAttributes } from "preact";
import { isDark, token } from "../data/theme";

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

interface Props {
  draw: Draw;
  /** All that `draw` reads, but the colours of the theme: drawn again only when one of these is another. */
  of: readonly unknown[];
  /** What the picture shows, in words. */
  label: string;
  height?: number;
  /** The colour of the interface that lies behind it: nothing shows through, so that nothing is drawn below it and mixed with it. */
  on?: "paper" | "panel";
  role?: AriaRole;
  attributes?: CanvasHTMLAttributes<HTMLCanvasElement>;
}

/** CSS px, as the browser told them last: to ask for them would have it lay the page out. */
interface Size {
  width: number;
  height: number;
}

export function Canvas({ draw, of, label, height, on, role = "img", attributes }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useRef<Size>({ width: 0, height: 0 });
  const latest = useRef(draw);
  latest.current = draw;
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height: tall } = entry!.contentRect;
      size.current = { width: Math.round(width), height: Math.round(tall) };
      paint(canvas.current, size.current, latest.current, on);
    });
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const frame = requestAnimationFrame(() => paint(canvas.current, size.current, latest.current, on));
    return () => cancelAnimationFrame(frame);
  }, [...of, isDark.value]);
  const style = height === undefined ? undefined : { height: `${height}px` };
  return <canvas ref={canvas} role={role} aria-label={label} {...(style && { style })} {...attributes} />;
}

function paint(canvas: HTMLCanvasElement | null, { width, height }: Size, draw: Draw, on: Props["on"]): void {
  if (canvas === null || width === 0) return;
  const scale = window.devicePixelRatio || 1;
  const [deviceWidth, deviceHeight] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
    canvas.width = deviceWidth;
    canvas.height = deviceHeight;
  }
  const context = canvas.getContext("2d", { alpha: on === undefined })!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  if (on === undefined) context.clearRect(0, 0, width, height);
  else {
    context.fillStyle = token(on);
    context.fillRect(0, 0, width, height);
  }
  draw(context, width, height);
}

/** Where in a canvas a pointer is, in CSS px. */
export function positionOf(event: { currentTarget: EventTarget | null; clientX: number; clientY: number }): { x: number; y: number } {
  const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
