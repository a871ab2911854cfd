"use strict";
// What the charts of a report share: words, numbers, and how they are drawn. No request, no library.

const SIZE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const $ = (id) => document.getElementById(id);

// words
const tenths = (value) => value % 1 === 0.25 ? `${Math.trunc(value)}.2` : value.toFixed(1); // to even, as the text beside it
const size = (count) => {
  let value = Math.abs(count), unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) { value /= 1024; unit++; }
  return (count < 0 ? "−" : "") + (unit ? tenths(value) : value.toFixed(0)) + " " + SIZE_UNITS[unit];
};
const signed = (count) => (count > 0 ? "+" : "") + size(count);
const clock = (seconds) => seconds < 1 ? `${+(seconds * 1000).toFixed(2)} ms` : seconds < 120 ? `${+seconds.toFixed(2)} s`
  : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;

// elements
const make = (name, cls, ...children) => {
  const element = document.createElement(name);
  if (cls) element.className = cls;
  element.append(...children);
  return element;
};
const table = (heads, rows) => make("table", "",
  make("thead", "", make("tr", "", ...heads.map((text, at) => make("th", at ? "n" : "", text)))),
  make("tbody", "", ...rows.map((cells) => make("tr", "", ...cells.map((cell, at) => make("td", at ? "n" : "", ...[cell].flat()))))));
const choice = (buttons, label, key, options, chosen) => {
  const group = make("span", "choice", `${label} `);
  for (const [value, text] of Object.entries(options)) {
    const button = make("button", "", text);
    button.type = "button";
    button.onclick = () => chosen(key, value);
    buttons.push([button, key, value]);
    group.append(button);
  }
  return group;
};

// bands come as changes from point to point; here they become levels
const unpack = (band, points) => {
  band.levels = new Float64Array(points);
  band.counts = new Int32Array(points);
  let at = 0;
  band.at.forEach((step, place) => {
    at += step;
    band.levels[at] = band.bytes[place];
    band.counts[at] = band.blocks[place];
  });
  for (let i = 1; i < points; i++) {
    band.levels[i] += band.levels[i - 1];
    band.counts[i] += band.counts[i - 1];
  }
};

// numbers
const lastNotAfter = (values, value) => { // the place in an ascending list; 0 where all are after it
  let low = 0, high = values.length;
  while (low < high) { const middle = (low + high) >> 1; if (values[middle] <= value) low = middle + 1; else high = middle; }
  return Math.max(0, low - 1);
};
const firstNotBefore = (values, value) => {
  let low = 0, high = values.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (values[middle] < value) low = middle + 1; else high = middle; }
  return low;
};
const nice = (length, count) => {
  const rough = length / count, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
};

// drawing
const inks = (names) => {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
};
const fit = (canvas, width, height) => {
  const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "11px system-ui, sans-serif";
  return context;
};
const hatch = (context, colour, paper, crossed) => {
  const tile = document.createElement("canvas"), brush = tile.getContext("2d");
  tile.width = tile.height = 6;
  brush.fillStyle = paper;
  brush.fillRect(0, 0, 6, 6);
  brush.strokeStyle = colour;
  brush.lineWidth = 1.5;
  for (const shift of [-6, 0, 6]) { brush.beginPath(); brush.moveTo(shift, 6); brush.lineTo(shift + 6, 0); brush.stroke(); }
  if (crossed) { brush.beginPath(); brush.moveTo(0, 0); brush.lineTo(6, 6); brush.stroke(); }
  return context.createPattern(tile, "repeat");
};
const write = (context, text, x, y, align, colour) => {
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(text, x, y);
};
const stepLine = (context, levels, low, high, x, y) => { // a level holds until the next point
  context.moveTo(x(low), y(levels[low]));
  for (let i = low + 1; i <= high; i++) {
    context.lineTo(x(i), y(levels[i - 1]));
    context.lineTo(x(i), y(levels[i]));
  }
};
// one plot: where values are on it, and its grid
class Axes {
  constructor(top, right, bottom) { Object.assign(this, { top, right, bottom, from: 0, to: 1, first: 0, last: 1, highest: 1 }); }
  resize(plot, lanes) {
    this.width = plot.clientWidth;
    this.left = this.width < 500 ? 40 : 56;
    this.height = (this.width < 500 ? 240 : 320) + lanes;
    this.floor = this.height - this.bottom - lanes - 4;
    plot.style.height = `${this.height}px`;
  }
  get start() { return this.first + this.from * (this.last - this.first); }
  get length() { return (this.to - this.from) * (this.last - this.first || 1); }
  get inner() { return this.width - this.left - this.right; }
  x(value) { return this.left + (value - this.start) / this.length * this.inner; }
  y(bytes) { return this.floor - bytes / this.highest * (this.floor - this.top); }
  value(x) { return this.start + (Math.min(Math.max(x, this.left), this.width - this.right) - this.left) / this.inner * this.length; }
  shows(x) { return x >= this.left - 1 && x <= this.width - this.right + 1; }
  all() { this.from = 0; this.to = 1; }
  zoom(x1, x2) {
    const [from, to] = [x1, x2].map((x) => (this.value(x) - this.first) / (this.last - this.first || 1)).sort((a, b) => a - b);
    if (to - from > 1e-9) Object.assign(this, { from, to });
  }
  grid(context, ink, tick, whole) {
    let unit = 0;
    while (this.highest / 1024 ** unit >= 2048 && unit < SIZE_UNITS.length - 1) unit++;
    const scale = 1024 ** unit, step = nice(this.highest / scale, 4);
    write(context, SIZE_UNITS[unit], 0, this.top - 6, "left", ink.soft);
    for (let value = 0; value * scale <= this.highest; value += step) {
      context.strokeStyle = ink.line;
      context.strokeRect(this.left, this.y(value * scale), this.inner, 0);
      write(context, `${+value.toFixed(3)}`, this.left - 8, this.y(value * scale) + 4, "right", ink.soft);
    }
    const every = whole ? Math.max(1, nice(this.length, this.width / 130)) : nice(this.length, this.width / 130);
    for (let value = Math.ceil(this.start / every) * every; value <= this.start + this.length; value += every) {
      write(context, tick(value), Math.min(this.x(value), this.width - 26), this.height - 5, "center", ink.soft);
    }
  }
  mark(context, x, y, text, colour) { // a triangle with a line down
    if (!this.shows(x)) return;
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    context.moveTo(x - 6, y - 9); context.lineTo(x + 6, y - 9); context.lineTo(x, y); context.fill();
    context.strokeRect(x, y, 0, this.floor - y);
    const isLeft = x - context.measureText(text).width > 12;
    write(context, text, x + (isLeft ? -10 : 10), y - 1, isLeft ? "right" : "left", colour);
  }
  cursor(context, x, levels, dash, colour) {
    if (!this.shows(x)) return;
    context.strokeStyle = context.fillStyle = colour;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(x, this.top - 8); context.lineTo(x, this.floor); context.stroke();
    context.setLineDash([]);
    for (const level of levels) { context.beginPath(); context.arc(x, this.y(level), 3.5, 0, 2 * Math.PI); context.fill(); }
  }
}
// a pointer that hovers, clicks, drags a range and double-clicks; leaves what that means to the page
const pointing = (plot, { hover, leave, click, range, all }) => {
  const CLICK_PIXELS = 6;
  let drag = null;
  const place = (event) => { const edge = plot.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top]; };
  const move = (event) => {
    const [x, y] = place(event);
    if (drag) { drag.now = x; drag.moved ||= Math.abs(x - drag.x) > CLICK_PIXELS; }
    hover(x, y, drag && drag.moved ? drag : null);
  };
  plot.onpointermove = move;
  plot.onpointerleave = () => { drag = null; leave(); };
  plot.onpointerdown = (event) => { if (event.button === 0) { const [x] = place(event); drag = { x, now: x, moved: false }; } };
  plot.onpointerup = (event) => {
    if (!drag) return;
    const done = drag;
    move(event);
    drag = null;
    if (done.moved) range(done.x, done.now); else click(...place(event));
  };
  plot.ondblclick = all;
};
