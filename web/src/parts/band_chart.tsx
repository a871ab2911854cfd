/** Bands of one GPU over time, drawn by uPlot: drag zooms, double-click shows all, one cursor for every chart. */

import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { BlackboxEvent } from "../data/answers";
import { type BandStack, roomFor, stacked } from "../data/bands";
import { bytes, clock, GIB, ticks } from "../data/format";
import { markOf } from "../data/marks";
import { ground, token } from "../data/theme";
import { fillOf } from "../draw/texture";

export interface BandChartProps {
  chart: BandStack;
  total: number;
  from: number;
  to: number;
  height: number;
  label: string;
  limitName: string;
  marks: readonly BlackboxEvent[];
  /** The time looked at. */
  cursor: number | null;
  /** From the last reading to when it is full, predicted. */
  prediction: { at: number; atMin: number; atMax: number; fromBytes: number; fromTime: number } | null;
  isDark: boolean;
  isLarge: boolean;
  onZoom: (from: number, to: number, isMarking: boolean) => void;
  onReset: () => void;
  onPoint: (time: number | null) => void;
  onPick: (time: number) => void;
}

const SYNC = "blackbox";
const CLICK_PX = 4;
/** Half of the last time on the axis. */
const RIGHT_PX = 26;
/** Of a time below the chart. */
const LABEL_PX = 54;
/** In a chart that is narrower, times stand closer. */
const NARROW_PX = 420;
const [MINUTE, HOUR, DAY] = [60, 3600, 86_400];
/** Between times below the chart: what there is room for is never much more than is shown. */
const STEPS_SECONDS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 3, 5, 10, 15, 30].map((days) => days * DAY),
];
/** Half of what a mark takes. */
const MARK_PX = 5;
/** How far down beside a prediction its words stand: below the line where it leaves the last reading of a GPU that fills. */
const WORDS_SHARE = 0.72;
/** Of the name in a band: its height, and the band's at least. */
const NAME_PX = 12;
const LINE_DASH = { reserved: [], allocated: [2, 3] };

export function BandChart(props: BandChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = `${props.chart.bands.map((band) => band.key).join()}|${props.chart.lines.length}|${props.isDark}|${props.total}|${props.height}`;

  useLayoutEffect(() => {
    const place = box.current!;
    const made = new uPlot(options(latest, place.clientWidth), dataOf(latest.current.chart), place);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: latest.current.height }));
    observer.observe(place);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  const over = JSON.stringify([props.marks.map((event) => event.id), props.cursor, props.prediction, props.limitName]);
  useLayoutEffect(() => {
    plot.current?.setData(dataOf(props.chart), false);
    plot.current?.setScale("x", { min: props.from, max: props.to });
  }, [shape, props.chart, props.from, props.to, over]);
  return <div ref={box} role="img" aria-label={props.label} style={{ height: `${props.height}px` }} />;
}

function dataOf(chart: BandStack): uPlot.AlignedData {
  const rows = [...stacked(chart.bands), ...chart.lines.map((line) => line.values)];
  return [chart.times, ...rows.map((row) => row.map((value) => (value === null ? null : value / GIB)))] as uPlot.AlignedData;
}

type Latest = { current: BandChartProps };

function options(latest: Latest, width: number): uPlot.Options {
  const { chart, total, height, isDark, isLarge } = latest.current;
  const paper = ground();
  const limit = total / GIB;
  const axis = { stroke: token("soft"), grid: { stroke: token("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const fill = (index: number) => (plot: uPlot) => fillOf(plot.ctx, chart.bands[index]!.purpose, paper, isDark);
  return {
    width,
    height,
    padding: [isLarge ? 22 : 8, RIGHT_PX, 0, 0],
    legend: { show: false },
    scales: { x: { time: true }, y: { range: [0, limit * 1.04] } },
    axes: [
      { ...axis, show: isLarge, size: 26, space: width < NARROW_PX ? LABEL_PX + 10 : 90, incrs: STEPS_SECONDS, values: (plot: uPlot, splits: number[]) => splits.map((split) => (isCut(plot, split) ? "" : clock(split))) },
      { ...axis, size: 52, splits: () => (isLarge ? ticks(limit, 5) : ticks(limit, 2).slice(-1)), values: (_plot: uPlot, splits: number[]) => splits.map(String) },
    ],
    series: [
      {},
      ...chart.bands.map((_, index) => ({ stroke: "transparent", width: 0, points: { show: false }, ...(index === 0 && { fill: fill(0) }) })),
      ...chart.lines.map((line) => ({ stroke: token("ink"), width: 1.5, dash: LINE_DASH[line.key], points: { show: false }, show: isLarge })),
    ],
    bands: chart.bands.slice(1).map((_, index) => ({ series: [index + 2, index + 1] as [number, number], fill: fill(index + 1) })),
    cursor: { sync: { key: SYNC, scales: ["x", null] }, y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: CLICK_PX }, bind: { dblclick: () => () => (latest.current.onReset(), null) } },
    hooks: {
      setCursor: [(plot) => latest.current.onPoint(plot.cursor.left == null || plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, "x"))],
      setSelect: [(plot) => onSelect(plot, latest)],
      ready: [(plot) => listenForClicks(plot, latest)],
      draw: [(plot) => drawOver(plot, latest.current, limit)],
    },
  };
}

/** The label of a time at the edge of the chart has no room. */
function isCut(plot: uPlot, time: number): boolean {
  const at = plot.valToPos(time, "x");
  return at + LABEL_PX / 2 > plot.over.clientWidth + RIGHT_PX;
}

let shiftIsHeld = false;

function onSelect(plot: uPlot, latest: Latest): void {
  const { left, width } = plot.select;
  if (width < CLICK_PX) return;
  latest.current.onZoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"), shiftIsHeld);
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

function listenForClicks(plot: uPlot, latest: Latest): void {
  let pressed = 0;
  plot.over.addEventListener("mousedown", (event) => {
    pressed = event.clientX;
    shiftIsHeld = event.shiftKey;
  });
  plot.over.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - pressed) < CLICK_PX && event.detail === 1) latest.current.onPick(plot.posToVal(event.offsetX, "x"));
  });
}

/** Limit, marks, prediction and the time looked at, over the bands. */
function drawOver(plot: uPlot, props: BandChartProps, limit: number): void {
  const { ctx, bbox } = plot;
  const scale = window.devicePixelRatio || 1;
  const x = (time: number) => plot.valToPos(time, "x", true);
  const y = (value: number) => plot.valToPos(value, "y", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  ctx.lineWidth = scale;
  line(ctx, token("ink"), [6 * scale, 4 * scale], bbox.left, y(limit), bbox.left + bbox.width, y(limit));
  if (props.isLarge) {
    const from = bbox.left + bbox.width - ctx.measureText(props.limitName).width - 8 * scale;
    const isTaken = props.marks.some((event) => x(event.timestamp) > from && x(event.timestamp) <= bbox.left + bbox.width);
    ctx.fillStyle = token("ink");
    ctx.textAlign = isTaken ? "left" : "right"; // marks stand at this height
    ctx.fillText(props.limitName, isTaken ? bbox.left + 4 * scale : bbox.left + bbox.width - 4 * scale, y(limit) - 4 * scale);
  }
  if (props.isLarge) drawNames(ctx, props, x, y, bbox, scale);
  drawMarks(ctx, props.marks, x, bbox, scale, props.isLarge);
  if (props.prediction !== null) drawPrediction(ctx, props.prediction, x, y, limit, scale, bbox, props.isLarge);
  if (props.cursor !== null) line(ctx, token("ink"), [], x(props.cursor), bbox.top, x(props.cursor), bbox.top + bbox.height);
  ctx.restore();
}

function line(ctx: CanvasRenderingContext2D, colour: string, dash: number[], x0: number, y0: number, x1: number, y1: number): void {
  ctx.strokeStyle = colour;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Letter and name inside each band, where it is highest and has room: no hue stands alone. */
function drawNames(ctx: CanvasRenderingContext2D, { chart, isDark }: BandChartProps, x: (time: number) => number, y: (value: number) => number, bbox: uPlot.BBox, scale: number): void {
  const edges = stacked(chart.bands);
  ctx.font = `650 ${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  chart.bands.forEach(({ purpose, name }, index) => {
    if (purpose.letter === "" || purpose.texture !== null) return;
    const word = `${purpose.letter} ${name}`;
    const half = ctx.measureText(word).width / 2 + 4 * scale;
    const top = (step: number) => y((edges[index]![step] ?? 0) / GIB);
    const bottom = (step: number) => y((index === 0 ? 0 : (edges[index - 1]![step] ?? 0)) / GIB);
    const place = roomFor(chart.times.map(x), top, bottom, half, NAME_PX * scale, bbox);
    if (place === null) return;
    ctx.fillStyle = isDark ? purpose.darkInk : purpose.lightInk;
    ctx.fillText(word, place.x, place.y + (NAME_PX / 3) * scale);
  });
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
}

const PREDICTED = "predicted ▸";
const TONES = ["plain", "warn", "alarm"] as const;

/** Marks that have room: what alarms takes the place of what does not, and words are left out before shapes. */
function drawMarks(ctx: CanvasRenderingContext2D, events: readonly BlackboxEvent[], x: (time: number) => number, bbox: uPlot.BBox, scale: number, isLarge: boolean): void {
  const marks = events
    .map((event) => ({ mark: markOf(event, () => null), at: x(event.timestamp) }))
    .filter(({ mark, at }) => mark.isOnAxis && at >= bbox.left && at <= bbox.left + bbox.width)
    .toSorted((a, b) => TONES.indexOf(b.mark.tone) - TONES.indexOf(a.mark.tone) || a.at - b.at);
  const taken: [number, number][] = [];
  const isFree = (left: number, right: number) => taken.every(([from, to]) => right < from || left > to);
  for (const { mark, at } of marks) {
    if (!isFree(at - MARK_PX * scale, at + MARK_PX * scale)) continue;
    const colour = token(mark.tone === "plain" ? "soft" : mark.tone);
    line(ctx, colour, mark.tone === "alarm" ? [] : [2 * scale, 3 * scale], at, isLarge ? bbox.top - 8 * scale : bbox.top, at, bbox.top + bbox.height);
    taken.push([at - MARK_PX * scale, at + MARK_PX * scale]);
    if (!isLarge) continue;
    const word = ` ${mark.word}`;
    const end = at + MARK_PX * scale + ctx.measureText(word).width;
    const hasRoom = mark.tone === "alarm" && end < bbox.left + bbox.width && isFree(at + (MARK_PX + 1) * scale, end);
    ctx.fillStyle = colour;
    ctx.textAlign = "left";
    ctx.fillText(hasRoom ? mark.shape + word : mark.shape, at - (MARK_PX - 1) * scale, bbox.top - 9 * scale);
    if (hasRoom) taken.push([at, end]);
  }
}

function drawPrediction(
  ctx: CanvasRenderingContext2D,
  { at, atMin, atMax, fromBytes, fromTime }: NonNullable<BandChartProps["prediction"]>,
  x: (time: number) => number,
  y: (value: number) => number,
  limit: number,
  scale: number,
  bbox: uPlot.BBox,
  isLarge: boolean,
): void {
  const start = [x(fromTime), y(fromBytes / GIB)] as const;
  ctx.fillStyle = token("alarm");
  ctx.globalAlpha = 0.2;
  ctx.beginPath();
  ctx.moveTo(...start);
  ctx.lineTo(x(atMin), y(limit));
  ctx.lineTo(x(atMax), y(limit));
  ctx.fill();
  ctx.globalAlpha = 1;
  line(ctx, token("alarm"), [4 * scale, 3 * scale], ...start, x(at), y(limit));
  line(ctx, token("edge"), [], start[0], bbox.top, start[0], bbox.top + bbox.height);
  if (!isLarge) return;
  ctx.fillStyle = token("soft");
  ctx.textAlign = "left";
  const hasRoom = (word: string) => start[0] + ctx.measureText(word).width + 8 * scale <= bbox.left + bbox.width;
  if (hasRoom(PREDICTED)) ctx.fillText(PREDICTED, start[0] + 5 * scale, bbox.top + bbox.height - 6 * scale);
  const words = clock(atMin) === clock(atMax) ? [`full ${clock(at)}`] : [`full ${clock(atMin)}`, `to ${clock(atMax)}`];
  if (!hasRoom(words[0]!)) return;
  ctx.fillStyle = token("alarm");
  words.forEach((word, line) => ctx.fillText(word, start[0] + 5 * scale, bbox.top + bbox.height * WORDS_SHARE + line * 14 * scale));
}

/** What the chart shows, in words. */
export function describeChart(name: string, chart: BandStack, total: number): string {
  const last = chart.used.findLast((value) => value !== null) ?? null;
  const known = chart.used.filter((value) => value !== null);
  if (last === null || known.length === 0) return `${name}: nothing recorded in this range`;
  return `${name}: ${bytes(last)} of ${bytes(total)} used at the end, between ${bytes(Math.min(...known))} and ${bytes(Math.max(...known))} in this range`;
}
