/** The keyboard: letters act on the whole page, and are left alone in fields. */

import { signal } from "@preact/signals";
import { hasFleet } from "./fleet";
import { markOf } from "./marks";
import { events, go, goLive, gpuLeaves, lookAt, cursor, now, route, togglePause } from "./store";
import { VIEWS } from "./route";

const STEP_SECONDS = 1;

export const keysAreShown = signal(false);

/** What a view adds: its keys are tried first. */
export const viewKeys = signal<Readonly<Record<string, () => void>>>({});

export const KEYS: readonly (readonly [string, string])[] = [
  ["1 – 9", "views; the ninth where this server asks a fleet"],
  ["space", "pause, go on"],
  ["L", "back to live"],
  ["← →", "a second back, forth; with shift from mark to mark"],
  ["W S", "zoom in, out"],
  ["N", "next mark"],
  ["M", "what lived at this moment"],
  ["A B", "mark the moment as A, as B"],
  ["C", "compare A with B"],
  ["X", "swap A and B"],
  ["/", "filter; Esc clears it"],
  ["Enter", "pin what has the focus"],
  ["G", "next GPU"],
  ["?", "these keys"],
];

const ACTIONS: Readonly<Record<string, () => void>> = {
  " ": togglePause,
  l: goLive,
  ArrowLeft: () => lookAt(cursor.peek() - STEP_SECONDS),
  ArrowRight: () => lookAt(cursor.peek() + STEP_SECONDS),
  "shift+ArrowLeft": () => toMark(-1),
  "shift+ArrowRight": () => toMark(1),
  n: () => toMark(1),
  m: () => go({ view: "moment", time: cursor.peek(), more: {} }),
  a: () => go({ a: cursor.peek() }),
  b: () => go({ b: cursor.peek() }),
  c: () => go({ view: "compare", a: route.peek().a ?? cursor.peek() - 120, more: {} }),
  x: () => go({ a: route.peek().b, b: route.peek().a }),
  g: nextGpu,
  "?": () => {
    keysAreShown.value = !keysAreShown.peek();
  },
  "/": () => document.querySelector<HTMLInputElement>("input[type=search]")?.focus(),
};

function toMark(direction: 1 | -1): void {
  const at = cursor.peek();
  const times = events
    .peek()
    .filter((event) => markOf(event, () => null).isOnAxis)
    .map((event) => event.timestamp);
  const next = direction > 0 ? times.find((time) => time > at + 0.2) : times.findLast((time) => time < at - 0.2);
  if (next !== undefined) lookAt(next);
  else if (direction > 0 && at < now.peek()) goLive();
}

function nextGpu(): void {
  const all = [null, ...gpuLeaves.peek().map((ledger) => ledger.gpu.uuid)];
  go({ gpu: all[(all.indexOf(route.peek().gpu) + 1) % all.length] ?? null });
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** The action of a key press; null where it is not ours. */
function actionOf(event: KeyboardEvent): (() => void) | null {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `shift+${name}` : name;
  const own = viewKeys.peek()[key];
  if (own !== undefined) return own;
  const view = VIEWS[Number(event.key) - 1];
  if (view !== undefined && (view !== "fleet" || hasFleet.peek() === true)) return () => go({ view, more: {} });
  return ACTIONS[key] ?? null;
}

export function onKeyDown(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (isField(event.target)) (event.target as HTMLInputElement).blur();
    if (route.peek().filter !== "") go({ filter: "" });
    return;
  }
  if (isField(event.target)) return;
  if (event.key === " " && event.target instanceof HTMLElement && event.target.closest("button, a, [role=slider]") !== null) return;
  const action = actionOf(event);
  if (action === null) return;
  event.preventDefault();
  const { view } = route.peek();
  action();
  if (route.peek().view !== view) requestAnimationFrame(() => document.getElementById("content")?.focus({ preventScroll: true }));
}
