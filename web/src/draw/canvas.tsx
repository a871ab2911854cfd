/** A canvas that fits its box and is drawn at most once a frame. */

import { useEffect, useRef } from "preact/hooks";
import type { AriaRole, CanvasHTMLAttributes } from "preact";

export type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

interface Props {
  draw: Draw;
  /** What the picture shows, in words. */
  label: string;
  height?: number;
  role?: AriaRole;
  attributes?: CanvasHTMLAttributes<HTMLCanvasElement>;
}

export function Canvas({ draw, label, height, role = "img", attributes }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  useEffect(() => {
    const observer = new ResizeObserver(() => paint(canvas.current, latest.current));
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const frame = requestAnimationFrame(() => paint(canvas.current, draw));
    return () => cancelAnimationFrame(frame);
  });
  const style = height === undefined ? undefined : { height: `${height}px` };
  return <canvas ref={canvas} role={role} aria-label={label} {...(style && { style })} {...attributes} />;
}

function paint(canvas: HTMLCanvasElement | null, draw: Draw): void {
  if (canvas === null || canvas.clientWidth === 0) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  const [deviceWidth, deviceHeight] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
    canvas.width = deviceWidth;
    canvas.height = deviceHeight;
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  draw(context, width, height);
}

/** Where in a canvas a pointer is, in CSS px. */
export function positionOf(event: { currentTarget: EventTarget | null; clientX: number; clientY: number }): { x: number; y: number } {
  const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}
