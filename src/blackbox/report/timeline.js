"use strict";
// Memory over time: draws what the page holds as data and nothing else. No request, no library, no state kept.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("timeline-data").textContent);
  const points = data.done.length;
  const KINDS = { category: "purpose", stack: "stack" };
  const TOP = 44, RIGHT = 14, LANE = 16, AXIS = 20, CLICK_PIXELS = 6, NEAR_PIXELS = 2;
  const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
  const view = { kind: "category", across: "steps", from: 0, to: 1, hover: null, pin: data.moment, drag: null };

  // data: bands come as changes from point to point; here they become levels, and sums from the bottom up
  for (const kind of Object.keys(KINDS)) {
    let below = new Float64Array(points);
    for (const band of data[kind]) {
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
      band.top = band.levels.map((level, i) => level + below[i]);
      below = band.top;
    }
  }
  const bands = data.category;
  const total = bands.length ? bands[bands.length - 1].top : new Float64Array(points);
  let highest = 1;
  for (let i = 0; i < points; i++) highest = Math.max(highest, total[i], data.reserved[i]);
  for (const i of data.refusals) highest = Math.max(highest, total[i] + data.told.bytes[i]);

  // words
  const size = (count) => {
    let value = Math.abs(count), unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit++; }
    return (count < 0 ? "−" : "") + value.toFixed(unit ? 1 : 0) + " " + UNITS[unit];
  };
  const signed = (count) => (count > 0 ? "+" : "") + size(count);
  const clock = (seconds) => seconds < 1 ? `${+(seconds * 1000).toFixed(2)} ms` : seconds < 120 ? `${+seconds.toFixed(2)} s`
    : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  const stepOf = (i) => data.done[i] ? `step ${data.first + data.done[i]} of ${data.steps}` : "before the first step";
  const when = (i) => stepOf(i) + (data.seconds ? ` · ${clock(data.seconds[i])}` : "");
  const ACTIONS = { alloc: "allocates", free_requested: "frees", free_completed: "completes a free of", oom: "is refused",
    segment_alloc: "reserves a segment of", segment_free: "gives back a segment of", segment_map: "maps",
    segment_unmap: "unmaps" };
  const framesOf = (number) => number < 0 ? [] : data.stacks[number].map((frame) => data.frames[frame]);
  const own = (frames) => frames.find((frame) => !data.libraries.some((place) => frame.includes(place))) || frames[0];

  // elements
  const make = (name, cls, ...children) => {
    const element = document.createElement(name);
    if (cls) element.className = cls;
    element.append(...children);
    return element;
  };
  const swatch = (band) => make("i", `sw ${band.colour}`, band.letter);
  const box = $("timeline");
  const base = make("canvas", "base"), over = make("canvas", "over"), card = make("div", "card");
  const plot = make("div", "plot", base, over);
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-label", `${box.dataset.finding} Arrow keys move the pinned step, P goes to the peak, R to a refusal.`);
  const buttons = [];
  const choice = (label, key, options) => {
    const group = make("span", "choice", `${label} `);
    for (const [value, text] of Object.entries(options)) {
      const button = make("button", "", text);
      button.type = "button";
      button.onclick = () => {
        if (view[key] !== value && key === "across") Object.assign(view, { from: 0, to: 1 });
        view[key] = value;
        refresh();
      };
      buttons.push([button, key, value]);
      group.append(button);
    }
    return group;
  };
  const controls = make("div", "controls", choice("bands", "kind", KINDS));
  if (data.seconds) controls.append(choice("across", "across", { steps: "steps", time: "time" }));
  controls.append(make("span", "hint", "hover: what lived · click: pin · drag: zoom · double-click: all · keys ← → P R"));
  const legend = make("ul", "legend");
  box.querySelector(".still").hidden = true;
  box.append(controls, plot, card, legend);

  // places
  let width = 0, height = 0, left = 0, floor = 0, ink = {};
  const lanes = Math.max(0, ...data.scopes.map((scope) => scope[3] + 1)) + (data.parts.length ? 1 : 0);
  const xs = () => view.across === "time" ? data.seconds : data.done;
  const span = () => {
    const all = xs()[points - 1] - xs()[0] || 1;
    return [xs()[0] + view.from * all, (view.to - view.from) * all];
  };
  const xOf = (value) => { const [from, length] = span(); return left + (value - from) / length * (width - left - RIGHT); };
  const yOf = (bytes) => floor - bytes / highest * (floor - TOP);
  const before = (value) => { // the last point that is not right of it
    let low = 0, high = points;
    while (low < high) { const middle = (low + high) >> 1; if (xs()[middle] <= value) low = middle + 1; else high = middle; }
    return Math.max(0, low - 1);
  };
  const valueAt = (x) => { const [from, length] = span(); return from + (x - left) / (width - left - RIGHT) * length; };
  const pointAt = (x) => { // of those under the pointer the highest, so that a peak is within reach
    let best = before(valueAt(x));
    for (let i = before(valueAt(x - NEAR_PIXELS)) + 1; i <= before(valueAt(x + NEAR_PIXELS)); i++) {
      if (total[i] > total[best]) best = i;
    }
    return best;
  };
  const bandAt = (i, y) => data[view.kind].find((band) => band.levels[i] > 0 && y >= yOf(band.top[i])) || null;
  const nice = (length, count) => {
    const rough = length / count, power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  };

  // drawing
  const fit = (canvas) => {
    const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "11px system-ui, sans-serif";
    return context;
  };
  const TEXTURES = { rest: false, none: true };
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
  const label = (context, text, x, y, align, colour) => {
    context.fillStyle = colour;
    context.textAlign = align;
    context.fillText(text, x, y);
  };
  const trace = (context, levels, low, high) => { // a level holds until the next point
    context.moveTo(xOf(xs()[low]), yOf(levels[low]));
    for (let i = low + 1; i <= high; i++) {
      const x = xOf(xs()[i]);
      context.lineTo(x, yOf(levels[i - 1]));
      context.lineTo(x, yOf(levels[i]));
    }
  };
  const drawBands = (context, low, high) => {
    const shown = data[view.kind];
    for (let place = shown.length - 1; place >= 0; place--) {
      const { colour, top } = shown[place];
      context.fillStyle = colour in TEXTURES ? hatch(context, ink.soft, ink.shade, TEXTURES[colour]) : ink[colour];
      context.beginPath();
      trace(context, top, low, high);
      context.lineTo(xOf(xs()[high]), floor);
      context.lineTo(xOf(xs()[low]), floor);
      context.fill();
    }
    context.strokeStyle = ink.soft;
    context.setLineDash([4, 3]);
    context.beginPath();
    trace(context, data.reserved, low, high);
    context.stroke();
    context.setLineDash([]);
  };
  const drawGrid = (context) => {
    let unit = 0;
    while (highest / 1024 ** unit >= 2048 && unit < UNITS.length - 1) unit++;
    const scale = 1024 ** unit, step = nice(highest / scale, 4);
    label(context, UNITS[unit], 0, TOP - 6, "left", ink.soft);
    for (let value = 0; value * scale <= highest; value += step) {
      context.strokeStyle = ink.line;
      context.strokeRect(left, yOf(value * scale), width - left - RIGHT, 0);
      label(context, `${+value.toFixed(3)}`, left - 8, yOf(value * scale) + 4, "right", ink.soft);
    }
    const [from, length] = span(), every = nice(length, width / 130);
    const whole = view.across === "steps" ? Math.max(1, every) : every;
    for (let value = Math.ceil(from / whole) * whole; value <= from + length; value += whole) {
      const text = view.across === "steps" ? `${data.first + value}` : clock(value);
      label(context, text, Math.min(xOf(value), width - 26), height - 5, "center", ink.soft);
    }
  };
  const drawLanes = (context) => {
    const rows = [...data.scopes, ...data.parts.map((part) => [part[0], part[1], part[2], lanes - 1])];
    for (const [name, start, end, depth] of rows) {
      const of = (entries) => view.across === "time" ? data.seconds[Math.min(points - 1, pointOf(entries))] : entries;
      const x1 = Math.max(left, xOf(of(start))), x2 = Math.min(width - RIGHT, xOf(of(end)));
      if (x2 - x1 < 0.5) continue;
      const y = floor + 4 + depth * LANE;
      context.fillStyle = ink.shade;
      context.fillRect(x1, y, Math.max(1, x2 - x1 - 1), LANE - 3);
      context.save();
      context.beginPath();
      context.rect(x1, y, x2 - x1 - 2, LANE);
      context.clip();
      if (x2 - x1 > 24) label(context, name, x1 + 3, y + 10, "left", ink.ink);
      context.restore();
    }
  };
  const pointOf = (entries) => {
    let low = 0, high = points - 1;
    while (low < high) { const middle = (low + high) >> 1; if (data.done[middle] < entries) low = middle + 1; else high = middle; }
    return low;
  };
  const drawMark = (context, i, text, y, colour) => {
    const x = xOf(xs()[i]);
    if (x < left - 1 || x > width - RIGHT + 1) return;
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    context.moveTo(x - 6, y - 9); context.lineTo(x + 6, y - 9); context.lineTo(x, y); context.fill();
    context.strokeRect(x, y, 0, floor - y);
    if (text) {
      const half = context.measureText(text).width + 12;
      label(context, text, x + (x - half > 0 ? -10 : 10), y - 1, x - half > 0 ? "right" : "left", colour);
    }
  };
  const drawMarks = (context) => {
    const last = data.refusals.length - 1;
    data.refusals.forEach((i, place) => {
      const x = xOf(xs()[i]), y = yOf(total[i] + data.told.bytes[i]);
      if (x >= left && x <= width - RIGHT + 1) {
        context.fillStyle = hatch(context, ink.alarm, ink.paper);
        context.fillRect(x - 4, y, 14, yOf(total[i]) - y);
        context.strokeStyle = ink.alarm;
        context.strokeRect(x - 4, y, 14, yOf(total[i]) - y);
      }
      drawMark(context, i, place === last ? `refused ${size(data.told.bytes[i])}, ${stepOf(i)}` : "", 12, ink.alarm);
    });
    drawMark(context, data.peak, `peak ${size(total[data.peak])}, ${stepOf(data.peak)}`, 28, ink.ink);
  };
  const draw = () => {
    width = plot.clientWidth;
    left = width < 500 ? 40 : 56;
    height = (width < 500 ? 240 : 320) + lanes * LANE;
    floor = height - AXIS - lanes * LANE - 4;
    plot.style.height = `${height}px`;
    const style = getComputedStyle(document.documentElement);
    for (const name of data.colours) ink[name] = style.getPropertyValue(`--${name}`).trim();
    const context = fit(base), low = before(span()[0]), high = Math.min(points - 1, before(span()[0] + span()[1]) + 1);
    drawGrid(context);
    context.save();
    context.beginPath();
    context.rect(left, 0, width - left - RIGHT, height);
    context.clip();
    drawBands(context, low, high);
    context.restore();
    drawLanes(context);
    drawMarks(context);
    drawOver();
  };
  const drawOver = () => {
    const context = fit(over);
    const line = (i, dash) => {
      const x = xOf(xs()[i]);
      if (x < left - 1 || x > width - RIGHT + 1) return;
      context.strokeStyle = context.fillStyle = ink.ink;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(x, TOP - 8); context.lineTo(x, floor); context.stroke();
      context.beginPath();
      context.arc(x, yOf(total[i]), 3.5, 0, 2 * Math.PI);
      context.fill();
    };
    line(view.pin, [2, 2]);
    if (view.hover) line(view.hover.i, []);
    if (view.drag && view.drag.moved) {
      context.fillStyle = ink.ink;
      context.globalAlpha = 0.15;
      context.fillRect(view.drag.x, TOP, view.drag.now - view.drag.x, floor - TOP);
    }
  };

  // the card beside the pointer
  const showCard = () => {
    card.replaceChildren();
    const hover = view.hover;
    card.classList.toggle("shown", Boolean(hover));
    if (!hover) { card.append(make("p", "hint", "Point at the chart: what lived at that step stands here.")); return; }
    const i = hover.i, frames = framesOf(data.told.stack[i]), action = data.told.action[i];
    card.append(make("p", "", make("b", "", when(i))));
    card.append(make("p", "row", "allocated", make("b", "", size(total[i]))));
    if (hover.band) card.append(make("p", "row", make("span", "", swatch(hover.band), hover.band.name), make("b", "", size(hover.band.levels[i]))));
    if (hover.band && hover.band.frames.length) card.append(make("code", "", hover.band.frames.slice(0, 3).join(" ‹ ")));
    if (action) card.append(make("p", "", `this step ${ACTIONS[action] || action} ${data.told.bytes[i] ? size(Math.abs(data.told.bytes[i])) : ""}`));
    if (frames.length) card.append(make("code", "", `${action.startsWith("free") ? "allocated by " : ""}${own(frames)}`));
    const x = xOf(xs()[i]);
    card.style.left = x > width / 2 ? `${Math.max(0, x - card.offsetWidth - 16)}px` : `${x + 16}px`;
    card.style.top = `${plot.offsetTop + TOP}px`;
  };

  // what lived at the pinned step
  const row = (band, i) => {
    const delta = band.levels[i] - band.levels[data.moment];
    return make("tr", "", make("td", "", swatch(band), band.name), make("td", "n", size(band.levels[i])),
      make("td", "n", `${band.counts[i]}`), make("td", "n", delta ? signed(delta) : "0 B"));
  };
  const table = (kind, i) => {
    const found = data[kind].filter((band) => band.levels[i] || band.levels[data.moment]);
    found.sort((a, b) => b.levels[i] - a.levels[i]);
    const head = ["What for", "Held", "Blocks", `Since ${data.kind}`];
    if (kind === "stack") head[0] = "By stack";
    return make("table", "", make("thead", "", make("tr", "", ...head.map((text, at) => make("th", at ? "n" : "", text)))),
      make("tbody", "", ...found.map((band) => row(band, i))));
  };
  const showPinned = () => {
    const i = view.pin, marks = [i === data.peak ? "the peak" : "", data.refusals.includes(i) ? "a refusal" : ""].filter(Boolean);
    const head = make("p", "", make("b", "", `${size(total[i])} allocated`), ` at ${when(i)}${marks.length ? ` (${marks.join(", ")})` : ""}, `
      + `${size(data.reserved[i])} reserved`);
    head.dataset.bytes = `${total[i]}`;
    $("pinned").replaceChildren(head, table("category", i), table("stack", i));
  };
  const looks = () => { // those that look the same are one line
    const shown = data[view.kind], rest = shown.filter((band) => band.colour === "rest");
    const named = rest.length > 1 ? [{ ...rest[0], name: "smaller ones" }] : rest;
    return [...shown.filter((band) => band.colour !== "rest"), ...named];
  };
  const showLegend = () => legend.replaceChildren(
    ...looks().map((band) => make("li", "", swatch(band), band.name)), make("li", "", "┄ reserved by the allocator"),
    make("li", "", "▼ peak"), ...(data.refusals.length ? [make("li", "alarm", "▼ refusal, and what was asked for")] : []));
  const refresh = () => {
    for (const [button, key, value] of buttons) button.setAttribute("aria-pressed", `${view[key] === value}`);
    showLegend();
    view.hover = null;
    showCard();
    draw();
  };
  const pin = (i) => { view.pin = i; showPinned(); drawOver(); };

  // the pointer and the keys
  const place = (event) => { const edge = plot.getBoundingClientRect(); return [event.clientX - edge.left, event.clientY - edge.top]; };
  const point = (event) => {
    const [x, y] = place(event);
    if (view.drag) { view.drag.now = x; view.drag.moved ||= Math.abs(x - view.drag.x) > CLICK_PIXELS; }
    const i = pointAt(Math.min(Math.max(x, left), width - RIGHT));
    view.hover = { i, band: bandAt(i, y) };
    showCard();
    drawOver();
  };
  plot.onpointermove = point;
  plot.onpointerleave = () => { view.hover = view.drag = null; showCard(); drawOver(); };
  plot.onpointerdown = (event) => { if (event.button === 0) { const [x] = place(event); view.drag = { x, now: x, moved: false }; } };
  plot.onpointerup = (event) => {
    const drag = view.drag;
    if (!drag) return;
    point(event);
    view.drag = null;
    if (!drag.moved) { pin(view.hover.i); return; }
    const all = xs()[points - 1] - xs()[0] || 1, ends = [drag.x, drag.now].map((x) => (valueAt(x) - xs()[0]) / all).sort((a, b) => a - b);
    const [from, to] = ends.map((share) => Math.min(1, Math.max(0, share)));
    if (to - from > 1e-9) Object.assign(view, { from, to });
    draw();
  };
  plot.ondblclick = () => { Object.assign(view, { from: 0, to: 1 }); draw(); };
  plot.onkeydown = (event) => {
    const next = data.refusals.find((i) => i > view.pin) ?? data.refusals[0];
    const moves = { ArrowLeft: Math.max(0, view.pin - 1), ArrowRight: Math.min(points - 1, view.pin + 1), p: data.peak, r: next };
    const to = moves[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (event.key === "Escape") plot.ondblclick();
    else if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    else pin(to);
    event.preventDefault();
  };
  new ResizeObserver(draw).observe(plot.parentElement);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  refresh();
  showPinned();
})();
