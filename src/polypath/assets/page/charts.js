// Charts by Observable Plot. Runs are told apart by colour and by shape; run 0 is the base.
"use strict";

const RUNS = DATA.runs.map((name) => plain(name, 60));
const HUES = 7; // --run-1 to --run-7; the base has --run-0 for itself
const SHAPES = ["circle", "square", "triangle", "diamond", "star", "wye", "cross", "plus"];
const STATUSES = {
  lost: ["▼", "lost"], found: ["▲", "found"], kept: ["●", "kept"], unsolved: ["○", "unsolved"], unjudged: ["?", "not judged"],
};

const hue = (run) => `var(--run-${run === 0 ? 0 : ((run - 1) % HUES) + 1})`;
const shape = (run) => SHAPES[run % SHAPES.length];
const domain = RUNS.map((_, run) => run);
const scales = {
  color: { type: "categorical", domain, range: domain.map(hue) },
  symbol: { domain, range: domain.map(shape) },
};
const digits = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3));
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + digits(Math.abs(value));
const interval = (row, say = digits) => say(row.e) + (row.lo == null || row.hi == null ? "" : `  [${say(row.lo)}, ${say(row.hi)}]`);

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function legend(place, runs) {
  place.replaceChildren(...runs.map((run) => {
    const path = svg("path", { d: d3.symbol(SYMBOLS[shape(run)], 60)(), transform: "translate(14,7)", fill: hue(run) });
    const line = svg("line", { x1: 0, x2: 28, y1: 7, y2: 7, stroke: hue(run), "stroke-width": 2, "stroke-dasharray": run === 0 ? "5 3" : "none" });
    const name = el("span", {}, svg("svg", { width: 28, height: 14, "aria-hidden": "true" }, line, path));
    name.append(datum(DATA.runs[run], 60), run === 0 ? " (base)" : "");
    return name;
  }));
}
const SYMBOLS = {
  circle: d3.symbolCircle, square: d3.symbolSquare, triangle: d3.symbolTriangle, diamond: d3.symbolDiamond,
  star: d3.symbolStar, wye: d3.symbolWye, cross: d3.symbolCross, plus: d3.symbolPlus,
};

// Draws now and again whenever the width changes; `draw` gets the width and returns a node.
function responsive(place, draw) {
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (width && width !== drawn) {
      drawn = width;
      place.replaceChildren(draw(width));
    }
  }).observe(place);
}

function lines(place, rows, { x, y, say = digits, zero = false, log = true }) {
  if (!rows.length) {
    place.replaceChildren(el("p", { class: "hint" }, "Not measured: no run has what this needs."));
    return;
  }
  const ks = [...new Set(rows.map((row) => row.x))].sort((a, b) => a - b);
  const powers = ks.filter((k) => Math.log2(k) % 1 === 0);
  const title = (row) => `${RUNS[row.run]}\n${x} = ${digits(row.x).replace(/\.?0+$/, "")}\n${interval(row, say)}`;
  responsive(place, (width) => Plot.plot({
    className: "chart", width, height: Math.min(320, Math.max(220, width * 0.6)), ...scales, marginLeft: 52, marginBottom: 38,
    ariaLabel: `${y} over ${x}, one line a run; the numbers are in the tables of this page`,
    x: log && ks.length > 1 ? { type: "log", base: 2, ticks: powers, tickFormat: (k) => String(k), label: x, labelArrow: "none" } : { label: x, labelArrow: "none" },
    y: { grid: true, nice: true, label: y, labelArrow: "none", tickFormat: zero ? (value) => signedTick(value) : undefined },
    marks: [
      zero ? Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.6 }) : null,
      Plot.areaY(rows.filter((row) => row.blo != null), { x: "x", y1: "blo", y2: "bhi", fill: "run", z: "run", fillOpacity: 0.07 }),
      Plot.areaY(rows.filter((row) => row.lo != null), { x: "x", y1: "lo", y2: "hi", fill: "run", z: "run", fillOpacity: 0.14 }),
      Plot.lineY(rows.filter((row) => row.run === 0), { x: "x", y: "e", stroke: "run", z: "run", strokeDasharray: "5 3", strokeWidth: 2 }),
      Plot.lineY(rows.filter((row) => row.run > 0), { x: "x", y: "e", stroke: "run", z: "run", strokeWidth: 2 }),
      Plot.dot(thinned(rows, log, powers), { x: "x", y: "e", fill: "run", symbol: "run", r: 3.5 }),
      Plot.tip(rows, Plot.pointer({ x: "x", y: "e", title })),
    ],
  }));
}
const signedTick = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(+value.toPrecision(6));

// Shapes on few points of each line: on the powers of two, or on some eight steps of a training run.
function thinned(rows, log, powers) {
  if (log) return rows.filter((row) => powers.includes(row.x));
  return d3.groups(rows, (row) => row.run).flatMap(([, own]) => own.filter((_, i) => i % Math.ceil(own.length / 8) === 0));
}

function panel(caption, note, about) {
  if (about) caption = el("a", { class: "term", href: about[0], title: about[1] }, caption);
  const place = el("div");
  return [place, el("figure", {}, el("figcaption", {}, caption, el("small", {}, note)), place)];
}

function bars({ title, about, direction, rows }) {
  const [place, figure] = panel(title, direction, about);
  const over = [...new Set(rows.map((row) => row.over))];
  const shown = rows.filter((row) => row.e != null);
  const names = (run) => plain(DATA.runs[run], 14);
  responsive(place, (width) => Plot.plot({
    className: "chart", width, height: 24 + over.length * (RUNS.length * 20 + 22), color: scales.color, marginLeft: 104, marginRight: 46, marginTop: 4, marginBottom: 26,
    ariaLabel: `${title}, a bar for each run; the numbers are in the tables of this page`,
    x: { grid: true, label: null, ticks: 4, nice: true }, y: { domain, tickFormat: names, label: null, tickSize: 0 },
    fy: over.length > 1 ? { domain: over, label: null, axis: null, padding: 0.2 } : undefined,
    marks: [
      over.length > 1 ? Plot.text(over, { fy: (o) => o, text: (o) => plain(o, 60), frameAnchor: "top-right", dx: 44, dy: -11, fill: "currentColor", fillOpacity: 0.7 }) : null,
      Plot.barX(shown, { fy: over.length > 1 ? "over" : undefined, x: "e", y: "run", fill: "run", fillOpacity: 0.75, insetTop: 2, insetBottom: 2 }),
      Plot.ruleY(shown.filter((row) => row.lo != null), { fy: over.length > 1 ? "over" : undefined, x1: "lo", x2: "hi", y: "run", stroke: "currentColor", strokeWidth: 1.5 }),
      Plot.text(shown, { fy: over.length > 1 ? "over" : undefined, x: (row) => Math.max(row.hi ?? row.e, row.e), y: "run", text: (row) => digits(row.e), textAnchor: "start", dx: 5 }),
      Plot.text(rows.filter((row) => row.e == null), { fy: over.length > 1 ? "over" : undefined, x: 0, y: "run", text: () => "not measured", textAnchor: "start", dx: 5 }),
      Plot.tip(shown, Plot.pointerY({ fy: over.length > 1 ? "over" : undefined, x: "e", y: "run", title: (row) => `${RUNS[row.run]}: ${row.over}\n${interval(row)}` })),
    ],
  }));
  return figure;
}

function fit({ title, about, y, note, points, ends }) {
  const [place, figure] = panel(title, note, about);
  responsive(place, (width) => Plot.plot({
    className: "chart", width, height: 220, ...scales, marginLeft: 52, marginBottom: 38, ariaLabel: `${y} against ${title}, a point for each run`,
    x: { label: title, nice: true, labelArrow: "none" }, y: { label: y, grid: true, nice: true, labelArrow: "none" },
    marks: [
      Plot.line(ends, { stroke: "currentColor", strokeOpacity: 0.5, strokeDasharray: "2 3" }),
      Plot.dot(points, { x: "x", y: "y", fill: "run", symbol: "run", r: 5 }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: (p) => `${RUNS[p.run]}\n${digits(p.x)}, ${digits(p.y)}` })),
    ],
  }));
  return figure;
}

// Base on the left, run on the right; four bands between "solved" and "not solved".
function flow({ run, problems, modes, keep }, choose) {
  const { kept, lost, found, unsolved } = problems;
  const [place, figure] = panel("", "");
  figure.firstChild.replaceChildren("From ", datum(DATA.runs[0], 60), " to ", datum(DATA.runs[run], 60));
  const total = kept + lost + found + unsolved;
  responsive(place, (width) => {
    const height = 170, gap = 22, wide = Math.min(150, width * 0.3), x0 = wide, x1 = width - wide, scale = total ? (height - gap) / total : 0;
    const [leftTop, rightTop] = [kept + lost, kept + found];
    const bands = [
      ["kept", kept, 0, 0], ["unsolved", unsolved, (leftTop + found) * scale + gap, (rightTop + lost) * scale + gap],
      ["lost", lost, kept * scale, rightTop * scale + gap], ["found", found, leftTop * scale + gap, kept * scale],
    ];
    const chart = svg("svg", { class: "chart", width, height: height + 8, viewBox: `0 -4 ${width} ${height + 8}`, role: "img",
      "aria-label": `${kept} problems kept, ${lost} lost, ${found} found, ${unsolved} unsolved` });
    for (const [status, count, from, to] of bands) {
      const thick = count * scale, middle = (x0 + x1) / 2;
      if (!count) continue;
      chart.append(svg("path", { fill: `var(--${status})`, "fill-opacity": status === "unsolved" ? 0.25 : 0.55,
        d: `M${x0 + 6},${from}C${middle},${from} ${middle},${to} ${x1 - 6},${to}v${thick}C${middle},${to + thick} ${middle},${from + thick} ${x0 + 6},${from + thick}Z` }));
    }
    const ends = [[x0, 0, leftTop, "solved"], [x0, leftTop * scale + gap, found + unsolved, "not solved"],
      [x1 - 6, 0, rightTop, "solved"], [x1 - 6, rightTop * scale + gap, lost + unsolved, "not solved"]];
    for (const [x, y, count, word] of ends) {
      const left = x === x0;
      chart.append(svg("rect", { x, y, width: 6, height: Math.max(count * scale, 1), fill: "currentColor" }),
        svg("text", { x: left ? x - 8 : x + 14, y: y + Math.max((count * scale) / 2, 5), "text-anchor": left ? "end" : "start", "dominant-baseline": "middle", fill: "currentColor" }, `${number(count)} ${word}`));
    }
    return chart;
  });
  const buttons = Object.entries(problems).filter(([status, count]) => count || status !== "unjudged").map(([status, count]) => {
    const [glyph, word] = STATUSES[status];
    const button = el("button", { type: "button" }, el("span", { class: status, "aria-hidden": "true" }, glyph), ` ${number(count)} ${word}`);
    button.addEventListener("click", () => choose(status, run));
    return button;
  });
  figure.append(el("div", { class: "flow-numbers" }, ...buttons), el("p", { class: "hint" }, keep),
    el("p", { class: "hint" }, modes));
  return figure;
}

function drawAll(choose) {
  const place = (name) => document.querySelector(`[data-chart="${name}"]`);
  document.querySelectorAll('[data-legend="all"]').forEach((node) => legend(node, domain));
  const { pass, difference, distinct, bars: panels, fits, flows, training } = DATA.charts;
  lines(place("pass"), pass, { x: "k (samples per problem)", y: "pass@k" });
  lines(place("difference"), difference, { x: "k (samples per problem)", y: "difference of pass@k", say: signed, zero: true });
  lines(place("distinct"), distinct, { x: "k (samples per problem)", y: "distinct correct solutions" });
  place("bars").append(...panels.map(bars));
  if (fits.length) {
    const figures = el("div", { class: "charts" }, ...fits.map(fit));
    place("fits").append(el("details", {}, el("summary", {}, `Diversity against Potential@k, a point for each run (${fits.length} figures)`), figures));
  }
  place("flows").append(...flows.map((one) => flow(one, choose)));
  if (training.length) {
    legend(document.querySelector('[data-legend="training"]'), [...new Set(training.flatMap((t) => t.rows.map((row) => row.run)))]);
    for (const { title, about, rows } of training) {
      const [box, figure] = panel(title, "", about);
      place("training").append(figure);
      lines(box, rows, { x: "step", y: "", log: false });
    }
  } else document.querySelectorAll('[data-for="training"]').forEach((node) => node.remove());
}
