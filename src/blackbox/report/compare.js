// Two runs on one axis: draws what the page holds as data and nothing else.
(() => {
  const data = JSON.parse($("compare-data").textContent);
  const COLOURS = ["blue", "orange"], NEAR_PIXELS = 2;
  const runs = data.runs;
  const view = { across: "steps", hover: null, drag: null };
  const axes = new Axes(44, 14, 20);
  for (const run of runs) {
    run.points = run.done.length;
    run.total = new Float64Array(run.points);
    for (const band of run.category) {
      unpack(band, run.points);
      band.levels.forEach((level, i) => { run.total[i] += level; });
    }
    run.total.forEach((level) => { axes.highest = Math.max(axes.highest, level); });
  }
  const hasTimes = runs.every((run) => run.seconds);
  const xs = (run) => view.across === "time" ? run.seconds : run.done;
  const levelAt = (run, i) => i === null ? null : run.total[i];

  // elements
  const box = $("compare");
  const base = make("canvas"), over = make("canvas"), card = make("div", "card");
  const plot = make("div", "plot", base, over);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", box.dataset.finding);
  const buttons = [];
  const chosen = (key, value) => { view[key] = value; axes.all(); refresh(); };
  const controls = make("div", "controls");
  if (hasTimes) controls.append(choice(buttons, "across", "across", { steps: "steps", time: "time" }, chosen));
  controls.append(make("span", "hint", "hover: both · click: pin · drag: zoom · double-click: all"));
  const name = (place) => make("span", "", make("i", `sw ${COLOURS[place]}`, "AB"[place]), runs[place].name);
  box.querySelector(".still").hidden = true;
  box.append(controls, plot, card, make("ul", "legend", make("li", "", name(0)), make("li", "", name(1)), make("li", "", "▼ peak")));

  // places
  const pointAt = (run, value, near) => { // the highest under the pointer; null where the run had ended
    if (value > xs(run)[run.points - 1]) return null;
    const last = lastNotAfter(xs(run), value + near);
    let best = lastNotAfter(xs(run), value);
    for (let i = lastNotAfter(xs(run), value - near) + 1; i <= last; i++) if (run.total[i] > run.total[best]) best = i;
    return best;
  };
  const both = (pixel) => {
    const value = axes.value(pixel), near = axes.value(pixel + NEAR_PIXELS) - value;
    return { value, points: runs.map((run) => pointAt(run, value, near)) };
  };
  const place = (value) => view.across === "time" ? clock(value) : `step ${Math.round(value)}`;
  const difference = (a, b) => a === null || b === null ? "n/a: one run had ended" : a === b ? "0 B" : signed(b - a);

  // drawing
  let ink = {};
  const draw = () => {
    axes.resize(plot, 0);
    axes.last = Math.max(...runs.map((run) => xs(run)[run.points - 1]));
    ink = inks(data.colours);
    const context = fit(base, axes.width, axes.height);
    axes.grid(context, ink, view.across === "steps" ? (value) => `${value}` : clock, view.across === "steps");
    context.save();
    context.beginPath();
    context.rect(axes.left, 0, axes.inner, axes.height);
    context.clip();
    runs.forEach((run, at) => {
      const low = lastNotAfter(xs(run), axes.start), high = Math.min(run.points - 1, lastNotAfter(xs(run), axes.start + axes.length) + 1);
      context.strokeStyle = ink[COLOURS[at]];
      context.lineWidth = 1.5;
      context.beginPath();
      stepLine(context, run.total, low, high, (i) => axes.x(xs(run)[i]), (level) => axes.y(level));
      context.stroke();
    });
    context.restore();
    context.lineWidth = 1;
    runs.forEach((run, at) => {
      const text = `${"AB"[at]}: peak ${size(run.total[run.peak])}`;
      axes.mark(context, axes.x(xs(run)[run.peak]), 12 + 16 * at, text, ink[COLOURS[at]]);
    });
    drawOver();
  };
  const drawOver = () => {
    const context = fit(over, axes.width, axes.height);
    if (view.hover) {
      const levels = view.hover.points.map((i, at) => levelAt(runs[at], i)).filter((level) => level !== null);
      axes.cursor(context, axes.x(view.hover.value), levels, [], ink.ink);
    }
    if (view.drag) {
      context.fillStyle = ink.ink;
      context.globalAlpha = 0.15;
      context.fillRect(view.drag.x, axes.top, view.drag.now - view.drag.x, axes.floor - axes.top);
    }
  };
  const showCard = () => {
    const hover = view.hover;
    card.classList.toggle("shown", Boolean(hover));
    if (!hover) { card.replaceChildren(make("p", "hint", "Point at the chart: both runs at that place stand here.")); return; }
    const levels = hover.points.map((i, at) => levelAt(runs[at], i));
    const line = (at) => make("p", "row", name(at), make("b", "", levels[at] === null ? "had ended" : size(levels[at])));
    card.replaceChildren(make("p", "", make("b", "", place(hover.value))), line(0), line(1),
      make("p", "row", "B − A", make("b", "", difference(...levels))));
    const x = axes.x(hover.value);
    card.style.left = x > axes.width / 2 ? `${Math.max(0, x - card.offsetWidth - 16)}px` : `${x + 16}px`;
    card.style.top = `${plot.offsetTop + axes.top}px`;
  };
  const pin = ({ value, points }) => {
    const names = [...new Set(runs.flatMap((run) => run.category.map((band) => band.name)))];
    const level = (at, wanted) => {
      const band = runs[at].category.find((one) => one.name === wanted);
      return points[at] === null ? null : band ? band.levels[points[at]] : 0;
    };
    const cell = (count) => count === null ? "had ended" : size(count);
    const rows = names.map((wanted) => [wanted, level(0, wanted), level(1, wanted)]).filter(([, a, b]) => a || b);
    const totals = points.map((i, at) => levelAt(runs[at], i));
    const head = make("p", "", make("b", "", `At ${place(value)}`));
    head.dataset.bytes = totals.map((count) => `${count}`).join(" ");
    $("pinned").replaceChildren(head, table(["What for", "A", "B", "B − A"],
      [["allocated", ...totals], ...rows].map(([what, a, b]) => [what, cell(a), cell(b), difference(a, b)])));
  };
  const refresh = () => {
    for (const [button, key, value] of buttons) button.setAttribute("aria-pressed", `${view[key] === value}`);
    view.hover = null;
    showCard();
    draw();
  };
  pointing(plot, {
    hover: (pixel, y, drag) => { Object.assign(view, { hover: both(pixel), drag }); showCard(); drawOver(); },
    leave: () => { view.hover = view.drag = null; showCard(); drawOver(); },
    click: (pixel) => pin(both(pixel)),
    range: (x1, x2) => { view.drag = null; axes.zoom(x1, x2); draw(); },
    all: () => { axes.all(); draw(); },
  });
  new ResizeObserver(draw).observe(box);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  refresh();
})();
