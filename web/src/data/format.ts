/** Numbers as people read them. One rounding for each kind, on every view: the same number everywhere. */

export const KIB = 1024;
export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;
const MINUS = "\u2212";

/** One decimal. Of two that are as near the even one, as in the texts of the server and the command line: only a quarter
 * and three quarters lie between two, and `toFixed` takes the upper one. */
export function tenths(value: number): string {
  const size = Math.abs(value);
  return size % 1 === 0.25 ? `${value < 0 ? "-" : ""}${Math.trunc(size)}.2` : value.toFixed(1); // -0.25 has its sign, too
}

/** The nearest whole number; of two the even one, as there. */
export function rounded(value: number): number {
  const near = Math.round(value);
  return Math.abs(value) % 1 === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** GiB with one decimal; MiB below 1 GiB, KiB below 1 MiB. */
export function bytes(count: number): string {
  const size = Math.abs(count);
  const sign = count < 0 ? MINUS : "";
  if (size >= GIB) return `${sign}${tenths(size / GIB)} GiB`;
  if (size >= MIB) return `${sign}${tenths(size / MIB)} MiB`;
  if (size >= KIB) return `${sign}${tenths(size / KIB)} KiB`;
  return `${sign}${rounded(size)} B`;
}

/** GiB with one decimal and no unit, for columns whose head names it. */
export function gib(count: number): string {
  return tenths(count / GIB);
}

/** A change, always with its sign; "0.0 GiB" where nothing moved. */
export function change(count: number): string {
  if (count === 0) return "0.0 GiB";
  return count > 0 ? `+${bytes(count)}` : bytes(count);
}

/** A change in GiB without its unit. */
export function changeGib(count: number): string {
  const text = tenths(Math.abs(count) / GIB);
  if (text === "0.0") return text;
  return `${count > 0 ? "+" : MINUS}${text}`;
}

/** Bytes a second as a change a minute. */
export function ratePerMinute(bytesPerSecond: number): string {
  return `${change(bytesPerSecond * 60)}/min`;
}

export function percent(share: number): string {
  return `${rounded(share * 100)} %`;
}

/** "45 s", "2 min 49 s", "3 h 5 min", "2 d". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return joined(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return `${Math.floor(whole / 86_400)} d`;
}

function joined(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** The range of a prediction, as round as `about` tells it and around that: "45 s to 55 s"; "50 s" where both ends are told alike. */
export function span(least: number, likely: number, most: number): string {
  const step = stepOf(likely);
  const [first, last] = [duration(Math.floor(least / step) * step), duration(Math.ceil(most / step - ROUNDING) * step)];
  return first === last ? first : `${first} to ${last}`;
}

/** A duration below a second in ms, as sources take. */
export function shortDuration(seconds: number): string {
  if (seconds < 1) return `${seconds < 0.01 ? tenths(seconds * 1000) : rounded(seconds * 1000)} ms`;
  return duration(seconds);
}

const SOON_SECONDS = 20;
/** What a calculation may leave above a round number. */
const ROUNDING = 1e-9;

/** A prediction in words: "about 50 s", "in seconds" below 20 s. */
export function about(seconds: number): string {
  if (seconds < SOON_SECONDS) return "seconds";
  const step = stepOf(seconds);
  return `about ${duration(Math.round(seconds / step) * step)}`;
}

/** Seconds to which a prediction is rounded. */
function stepOf(seconds: number): number {
  return seconds < SOON_SECONDS ? 1 : seconds < 120 ? 5 : seconds < 600 ? 30 : 60;
}

const zoned = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });

/** The browser's zone as people know it: "CET", or "GMT+1". */
export function zone(unixSeconds: number): string {
  const parts = zoned.formatToParts(unixSeconds * 1000);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "local";
}

let newest = Date.now() / 1000;

/** Tells the day that times are told without: that of the newest sample, which a replay has in the past. */
export function setToday(unixSeconds: number): void {
  newest = unixSeconds;
}

/** Local time of day with seconds; the date before it where it is not `today`'s. */
export function clock(unixSeconds: number, today: number = newest): string {
  const time = new Date(unixSeconds * 1000);
  const text = [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":");
  return sameDay(time, new Date(today * 1000)) ? text : `${day(time)} ${text}`;
}

/** As `clock`, with tenths: of refusals, and of what is marked. */
export function clockTenths(unixSeconds: number, today?: number): string {
  const tenths = Math.floor((Math.round(unixSeconds * 1000) % 1000) / 100);
  return `${clock(Math.floor(unixSeconds), today)}.${tenths}`;
}

export function ago(unixSeconds: number, now: number): string {
  return `${duration(now - unixSeconds)} ago`;
}

/** The local date, where it is not the reader's own; else nothing. */
export function foreignDay(unixSeconds: number): string {
  const time = new Date(unixSeconds * 1000);
  return sameDay(time, new Date()) ? "" : day(time);
}

function day(time: Date): string {
  return `${time.getFullYear()}-${twoDigits(time.getMonth() + 1)}-${twoDigits(time.getDate())}`;
}

function sameDay(a: Date, b: Date): boolean {
  return day(a) === day(b);
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}

/** Round numbers for an axis from 0 to `limit`, at most `most` steps: 10, 20, 30; never 39.5 / 29.6. */
export function ticks(limit: number, most: number): number[] {
  if (limit <= 0) return [0];
  const raw = limit / most;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => size >= raw) ?? 10 * magnitude;
  return Array.from({ length: Math.floor(limit / step) + 1 }, (_, index) => index * step);
}

const counts = new Intl.NumberFormat("en");

/** A count, its thousands apart. By one format for all: to make one takes longer than to draw what it is for. */
export function counted(count: number): string {
  return counts.format(count);
}

export function plural(count: number, noun: string, nouns: string = `${noun}s`): string {
  return `${counted(count)} ${count === 1 ? noun : nouns}`;
}
