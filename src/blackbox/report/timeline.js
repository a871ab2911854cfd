// Memory over time: draws what the page holds as data and nothing else.
const drawn = [...document.querySelectorAll("script[id^='timeline-data']")].map((one) => JSON.parse(one.textContent));
// shows one GPU; returns what takes it away again
const showGpu = (number) => {
  const data = drawn[number];
  const points = data.done.length;
  const KINDS = { category: "purpose", stack: "stack" };
  const TEXTURES = { rest: false, none: true }; // whether crossed
  const LANE = 16, NEAR_PIXELS = 2;
  const view = { kind: "category", across: "steps", hover: null, pin: data.moment, drag: null };
  const axes = new Axes(44, 14, 20);

  for (const kind of Object.keys(KINDS)) {
    let below = new Float64Array(points);
    for (const band of data[kind]) {
      if (!band.levels) unpack(band, points);
      below = band.top = band.levels.map((level, i) => level + below[i]);
    }
  }
  const bands = data.category;
  const total = bands.length ? bands[bands.length - 1].top : new Float64Array(points);
  for (let i = 0; i < points; i++) axes.highest = Math.max(axes.highest, total[i], data.reserved[i]);
  for (const i of data.refusals) axes.highest = Math.max(axes.highest, total[i] + data.told.bytes[i]);

  // words
  const stepOf = (i) => data.done[i] ? `step ${data.first + data.done[i]} of ${data.steps}` : "before the first step";
  const when = (i) => stepOf(i) + (data.seconds ? ` · ${clock(data.seconds[i])}` : "");
  const ACTIONS = { alloc: "allocates", free_requested: "frees", free_completed: "completes a free", oom: "is refused",
    segment_alloc: "reserves a segment of", segment_free: "gives back a segment of", segment_map: "maps",
    segment_unmap: "unmaps" };
  const framesOf = (number) => number < 0 ? [] : data.stacks[number].map((frame) => data.frames[frame]);
  const own = (frames) => frames.find((frame) => !data.libraries.some((place) => frame.includes(place))) || frames[0];

  // elements
  const swatch = (band) => make("i", `sw ${band.colour}`, band.letter);
  const box = $("timeline");
  const base = make("canvas"), over = make("canvas"), card = make("div", "card");
  const plot = make("div", "plot", base, over);
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-label", `${data.finding} Arrow keys move the pinned step, P goes to the peak, R to a refusal.`);
  const buttons = [];
  const chosen = (key, value) => {
    if (view[key] !== value && key === "across") axes.all();
    view[key] = value;
    refresh();
  };
  const controls = make("div", "controls", ...gpus(number), choice(buttons, "bands", "kind", KINDS, chosen));
  if (data.seconds) controls.append(choice(buttons, "across", "across", { steps: "steps", time: "time" }, chosen));
  controls.append(make("span", "hint", "hover: what lived · click: pin · drag: zoom · double-click: all · keys ← → P R"));
  const legend = make("ul", "legend");
  for (const still of box.querySelectorAll(".still")) still.hidden = true;
  $("finding").textContent = data.finding;
  box.append(controls, plot, card, legend);

  // places
  let ink = {};
  const lanes = Math.max(0, ...data.scopes.map((scope) => scope[3] + 1)) + (data.parts.length ? 1 : 0);
  const xs = () => view.across === "time" ? data.seconds : data.done;
  const x = (i) => axes.x(xs()[i]);
  const pointAt = (pixel) => { // of those under the pointer the highest, so that a peak is within reach
    const at = (shift) => lastNotAfter(xs(), axes.value(pixel + shift));
    let best = at(0);
    for (let i = at(-NEAR_PIXELS) + 1; i <= at(NEAR_PIXELS); i++) if (total[i] > total[best]) best = i;
    return best;
  };
  const bandAt = (i, y) => data[view.kind].find((band) => band.levels[i] > 0 && y >= axes.y(band.top[i])) || null;

  // drawing
  const drawBands = (context, low, high) => {
    const shown = data[view.kind];
    for (let place = shown.length - 1; place >= 0; place--) {
      const { colour, top } = shown[place];
      context.fillStyle = colour in TEXTURES ? hatch(context, ink.edge, ink.shade, TEXTURES[colour]) : ink[colour];
      context.beginPath();
      stepLine(context, top, low, high, x, (level) => axes.y(level));
      context.lineTo(x(high), axes.floor);
      context.lineTo(x(low), axes.floor);
      context.fill();
    }
    context.strokeStyle = ink.soft;
    context.setLineDash([4, 3]);
    context.beginPath();
    stepLine(context, data.reserved, low, high, x, (level) => axes.y(level));
    context.stroke();
    context.setLineDash([]);
  };
  const drawLanes = (context) => {
    const rows = [...data.scopes, ...data.parts.map((part) => [part[0], part[1], part[2], lanes - 1])];
    const of = (entries) => axes.x(view.across === "time" ? data.seconds[firstNotBefore(data.done, entries)] : entries);
    for (const [name, start, end, depth] of rows) {
      const x1 = Math.max(axes.left, of(start)), x2 = Math.min(axes.width - axes.right, of(end));
      if (x2 - x1 < 0.5) continue;
      const y = axes.floor + 4 + depth * LANE;
      context.fillStyle = ink.shade;
      context.fillRect(x1, y, Math.max(1, x2 - x1 - 1), LANE - 3);
      context.save();
      context.beginPath();
      context.rect(x1, y, x2 - x1 - 2, LANE);
      context.clip();
      if (x2 - x1 > 24) write(context, name, x1 + 3, y + 10, "left", ink.ink);
      context.restore();
    }
  };
  const drawMarks = (context) => {
    const last = data.refusals.length - 1;
    data.refusals.forEach((i, place) => {
      const y = axes.y(total[i] + data.told.bytes[i]);
      if (axes.shows(x(i))) { // to scale, upon what was held
        context.fillStyle = hatch(context, ink.alarm, ink.paper);
        context.fillRect(x(i) - 4, y, 14, axes.y(total[i]) - y);
        context.strokeStyle = ink.alarm;
        context.strokeRect(x(i) - 4, y, 14, axes.y(total[i]) - y);
      }
      axes.mark(context, x(i), 12, place === last ? `refused ${size(data.told.bytes[i])}, ${stepOf(i)}` : "", ink.alarm);
    });
    axes.mark(context, x(data.peak), 28, `peak ${size(total[data.peak])}, ${stepOf(data.peak)}`, ink.ink);
  };
  const draw = () => {
    axes.resize(plot, lanes * LANE);
    [axes.first, axes.last] = [xs()[0], xs()[points - 1]];
    ink = inks(data.colours);
    const context = fit(base, axes.width, axes.height);
    const low = lastNotAfter(xs(), axes.start), high = Math.min(points - 1, lastNotAfter(xs(), axes.start + axes.length) + 1);
    axes.grid(context, ink, view.across === "steps" ? (value) => `${data.first + value}` : clock, view.across === "steps");
    context.save();
    context.beginPath();
    context.rect(axes.left, 0, axes.inner, axes.height);
    context.clip();
    drawBands(context, low, high);
    context.restore();
    drawLanes(context);
    drawMarks(context);
    drawOver();
  };
  const drawOver = () => {
    const context = fit(over, axes.width, axes.height);
    axes.cursor(context, x(view.pin), [total[view.pin]], [2, 2], ink.ink);
    if (view.hover) axes.cursor(context, x(view.hover.i), [total[view.hover.i]], [], ink.ink);
    if (view.drag) {
      context.fillStyle = ink.ink;
      context.globalAlpha = 0.15;
      context.fillRect(view.drag.x, axes.top, view.drag.now - view.drag.x, axes.floor - axes.top);
    }
  };

  // the card beside the pointer
  const showCard = () => {
    const hover = view.hover;
    card.classList.toggle("shown", Boolean(hover));
    if (!hover) { card.replaceChildren(make("p", "hint", "Point at the chart: what lived at that step stands here.")); return; }
    const i = hover.i, band = hover.band, action = data.told.action[i], frames = framesOf(data.told.stack[i]);
    const lines = [make("p", "", make("b", "", when(i))), make("p", "row", "allocated", make("b", "", size(total[i])))];
    if (band) lines.push(make("p", "row", make("span", "", swatch(band), band.name), make("b", "", size(band.levels[i]))));
    if (band && band.frames.length) lines.push(make("code", "", band.frames.slice(0, 3).join(" ‹ ")));
    const moved = data.told.bytes[i] ? ` ${size(Math.abs(data.told.bytes[i]))}` : "";
    if (action) lines.push(make("p", "", `this step ${ACTIONS[action] || action}${moved}`));
    if (frames.length) lines.push(make("code", "", `${action.startsWith("free") ? "allocated by " : ""}${own(frames)}`));
    card.replaceChildren(...lines);
    card.style.left = x(i) > axes.width / 2 ? `${Math.max(0, x(i) - card.offsetWidth - 16)}px` : `${x(i) + 16}px`;
    card.style.top = `${plot.offsetTop + axes.top}px`;
  };

  // what lived at the pinned step
  const held = (kind, head, i) => {
    const found = data[kind].filter((band) => band.levels[i] || band.levels[data.moment]);
    found.sort((a, b) => b.levels[i] - a.levels[i]);
    return table([head, "Held", "Blocks", `Since ${data.kind}`], found.map((band) => {
      const delta = band.levels[i] - band.levels[data.moment];
      return [[swatch(band), band.name], size(band.levels[i]), `${band.counts[i]}`, delta ? signed(delta) : "0 B"];
    }));
  };
  const pin = (i) => {
    view.pin = i;
    const marks = [i === data.peak ? "the peak" : "", data.refusals.includes(i) ? "a refusal" : ""].filter(Boolean);
    const place = ` at ${when(i)}${marks.length ? ` (${marks.join(", ")})` : ""}, ${size(data.reserved[i])} reserved`;
    const head = make("p", "", make("b", "", `${size(total[i])} allocated`), place);
    head.dataset.bytes = `${total[i]}`;
    $("pinned").replaceChildren(head, held("category", "What for", i), held("stack", "By stack", i));
    drawOver();
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

  // the pointer and the keys
  const all = () => { axes.all(); draw(); };
  pointing(plot, {
    hover: (pixel, y, drag) => {
      const i = pointAt(pixel);
      Object.assign(view, { hover: { i, band: bandAt(i, y) }, drag });
      showCard();
      drawOver();
    },
    leave: () => { view.hover = view.drag = null; showCard(); drawOver(); },
    click: (pixel) => pin(pointAt(pixel)),
    range: (x1, x2) => { view.drag = null; axes.zoom(x1, x2); draw(); },
    all,
  });
  plot.onkeydown = (event) => {
    const next = data.refusals.find((i) => i > view.pin) ?? data.refusals[0];
    const moves = { ArrowLeft: Math.max(0, view.pin - 1), ArrowRight: Math.min(points - 1, view.pin + 1), p: data.peak, r: next };
    const to = moves[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (event.key === "Escape") all();
    else if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    else pin(to);
    event.preventDefault();
  };
  const observer = new ResizeObserver(draw), scheme = window.matchMedia("(prefers-color-scheme: dark)");
  observer.observe(box);
  scheme.addEventListener("change", draw);
  refresh();
  pin(view.pin);
  return () => {
    observer.disconnect();
    scheme.removeEventListener("change", draw);
    for (const part of [controls, plot, card, legend]) part.remove();
  };
};
// the control that chooses the GPU, where there are several
const gpus = (number) => {
  if (drawn.length < 2) return [];
  const list = make("select");
  list.setAttribute("aria-label", "GPU");
  list.append(...drawn.map((one, place) => Object.assign(make("option", "", one.gpu), { value: place, selected: place === number })));
  list.onchange = () => { leave(); leave = showGpu(Number(list.value)); $("timeline").querySelector("select").focus(); };
  return [list];
};
let leave = showGpu(0);
