// The explorer: a list of problems, filtered and searched; the texts of one are unpacked when it is opened.
"use strict";

const P = DATA.problems; // columns: id, prompt, gold, chunk, and per run: n, c; per compared run: status, modes
const PAGE = 100; // rows added at a time
const STATUS_OF = { k: "kept", l: "lost", f: "found", u: "unsolved", "?": "unjudged" };
const FILTERS = ["all", "lost", "found", "kept", "unsolved", "unjudged", "changed"];
const COMPARED = DATA.runs.map((_, run) => run).slice(1);
const byId = (id) => document.getElementById(id);

const view = { filter: "all", against: COMPARED.length === 1 ? 1 : 0, order: "file", words: "", deep: false, hits: [], shown: 0, turn: 0 };
const status = (problem, run) => STATUS_OF[P.status[run - 1][problem]];
const compared = () => (view.against ? [view.against] : COMPARED);

// Chunks: deflate, base64, in the page itself. The last few stay unpacked.
const unpacked = new Map();
async function chunk(index) {
  if (!unpacked.has(index)) {
    if (unpacked.size > 12) unpacked.delete(unpacked.keys().next().value);
    unpacked.set(index, unpack(document.getElementById(`chunk-${index}`).textContent));
  }
  return unpacked.get(index);
}
async function unpack(base64) {
  const packed = atob(base64);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}
async function detailOf(problem) {
  const index = P.chunk[problem];
  return index < 0 ? null : (await chunk(index))[problem - DATA.firsts[index]];
}

// What the filter lets through, in the chosen order.
function passes(problem, filter) {
  if (filter === "all") return true;
  return compared().some((run) => (filter === "changed"
    ? P.modes[run - 1][problem].some((count) => count > 0)
    : status(problem, run) === filter));
}
const rate = (problem, run) => (P.n[run][problem] ? P.c[run][problem] / P.n[run][problem] : NaN);
const rise = (problem) => d3.max(compared(), (run) => rate(problem, run) - rate(problem, 0)) ?? -2;
const fall = (problem) => d3.max(compared(), (run) => rate(problem, 0) - rate(problem, run)) ?? -2;
const modes = (which) => (problem) => d3.max(compared(), (run) => P.modes[run - 1][problem][which]) ?? 0;
const KEYS = { fall, rise, lost: modes(0), found: modes(1) };

function words() {
  return view.words.toLowerCase().split(/\s+/).filter(Boolean);
}
const shallow = (problem) => `${P.id[problem]}\n${P.prompt[problem]}\n${P.gold[problem]}`.toLowerCase();
function deepText(detail) {
  if (!detail) return "";
  const parts = [detail.p?.[0] ?? "", detail.g ?? ""];
  for (const run of detail.r) for (const [answer, , , texts] of run.s) {
    parts.push(answer ?? "");
    for (const [head, tail] of texts) parts.push(head, tail);
  }
  return parts.join("\n").toLowerCase();
}

// Runs filter and search; a later call makes an earlier one give up.
async function refresh() {
  const turn = ++view.turn;
  const wanted = words();
  let hits = P.id.map((_, i) => i).filter((problem) => passes(problem, view.filter));
  if (wanted.length && !view.deep) hits = hits.filter((problem) => wanted.every((word) => shallow(problem).includes(word)));
  if (wanted.length && view.deep) {
    const found = [];
    byId("count").textContent = "Searching …";
    for (const problem of hits) {
      const text = shallow(problem) + "\n" + deepText(await detailOf(problem));
      if (turn !== view.turn) return;
      if (wanted.every((word) => text.includes(word))) found.push(problem);
    }
    hits = found;
  }
  const key = KEYS[view.order];
  if (key) hits = d3.sort(hits, (a, b) => d3.descending(key(a), key(b)) || a - b);
  Object.assign(view, { hits, shown: 0 });
  byId("problems").replaceChildren();
  showMore();
  counts();
}

function showMore() {
  const next = view.hits.slice(view.shown, view.shown + PAGE);
  byId("problems").append(...next.map(row));
  view.shown += next.length;
  byId("more").hidden = view.shown >= view.hits.length;
  const listed = view.shown < view.hits.length ? `, the first ${number(view.shown)} listed` : "";
  byId("count").textContent = `${number(view.hits.length)} of ${number(P.id.length)} problems${listed}`;
}

function counts() {
  for (const label of byId("filters").children) {
    const filter = label.dataset.filter;
    const count = P.id.reduce((sum, _, problem) => sum + passes(problem, filter), 0);
    label.querySelector("small").textContent = number(count);
    label.hidden = filter === "unjudged" && count === 0;
  }
}

function row(problem) {
  const what = el("span", { class: "what" }, el("b", {}, datum(P.id[problem], 80)));
  what.append(write(el("span", { class: "snippet", dir: "auto" }), first(P.prompt[problem], 200)));
  const rates = DATA.runs.map((name, run) => {
    const kind = run ? status(problem, run) : "base";
    const [glyph, word] = run ? STATUSES[kind] : ["", "base"];
    const full = el("b");
    full.style.width = `${100 * (rate(problem, run) || 0)}%`;
    full.style.background = hue(run);
    const title = `${RUNS[run]}: ${P.c[run][problem]} of ${P.n[run][problem]} right${run ? ", " + word : ""}`;
    return el("span", { class: `rate ${kind}`, title }, el("span", { class: "status", "aria-hidden": "true" }, glyph),
      el("span", {}, el("span", { "aria-label": title, role: "img" }, `${P.c[run][problem]}/${P.n[run][problem]}`)), el("i", {}, full));
  });
  const button = el("button", { type: "button", class: "row", "aria-expanded": "false" }, what, el("span", { class: "rates" }, ...rates));
  const item = el("li", { "data-problem": problem }, button);
  button.addEventListener("click", () => toggle(item, button, problem));
  return item;
}

async function toggle(item, button, problem) {
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) return item.lastChild.remove();
  const box = el("div", { class: "detail" }, "Unpacking …");
  item.append(box);
  try {
    box.replaceChildren(...describe(await detailOf(problem), problem));
  } catch (error) {
    box.replaceChildren(el("p", { class: "note" }, `This browser can't unpack the texts (${error.message}); it needs DecompressionStream with deflate-raw.`));
  }
}

function describe(detail, problem) {
  if (!detail) return [el("p", { class: "note" }, "Solutions and texts of this problem were left out to keep the file small.")];
  const nodes = [];
  if (detail.p !== null) nodes.push(el("h4", {}, "Prompt"), longText(...detail.p));
  if (detail.g !== null) nodes.push(el("h4", {}, "Gold answer: ", datum(detail.g)));
  return [...nodes, el("div", { class: "runs" }, ...detail.r.map((run, index) => runBox(run, index, problem, detail.r)))];
}

// Adds nodes a few at a time, the rest behind a button; `make` is called only for what is shown.
function addSome(place, things, make, some, what) {
  const first = things.slice(0, some), rest = things.slice(some);
  place.append(...first.flatMap(make));
  if (!rest.length) return;
  const button = el("button", { type: "button", class: "rest" }, `Show ${number(rest.length)} more ${what}`);
  button.addEventListener("click", () => {
    const at = place.children.length - 1;
    button.remove();
    addSome(place, rest, make, 50, what);
    place.children[at].querySelector("summary, pre, button")?.focus();
  });
  place.append(button);
}

const rightAnswers = (run) => new Set(run.s.filter(([, right]) => right === 1).map((solution) => solution[4]));

function runBox(run, index, problem, all) {
  const heading = el("h4", {}, datum(DATA.runs[index], 80), `: ${P.c[index][problem]} of ${P.n[index][problem]} right`);
  const box = el("div", { class: "run" }, heading);
  box.style.borderTopColor = hue(index);
  const total = d3.sum(run.s, ([, , count]) => count) + run.more;
  const against = index ? [0] : compared();
  const known = against.every((other) => !all[other].more); // else a solution may be among those left out
  const theirs = against.map((other) => rightAnswers(all[other]));
  const make = ([answer, right, count, texts, key]) => {
    const alone = right === 1 && answer !== null && known && against.length && theirs.every((set) => !set.has(key));
    return solution(answer, right, count, total, texts, alone ? (index ? "found" : "lost") : null);
  };
  box.append(...run.s.filter(([, right]) => right === 1).map(make));
  addSome(box, run.s.filter(([, right]) => right !== 1), make, 4, "that are not right");
  if (!run.s.length) box.append(el("p", { class: "hint" }, "No samples."));
  if (run.more) box.append(el("p", { class: "hint" }, `${number(run.more)} more samples, with rarer solutions, are not in this file.`));
  return box;
}

const TAGS = { lost: ["▼ lost", "no compared run has this solution"], found: ["▲ found", "the base run has not this solution"] };

function solution(answer, right, count, total, texts, tag) {
  const [glyph, word, kind] = right === 1 ? ["✓", "right", "kept"] : right === 0 ? ["✗", "wrong", "lost"] : ["?", "not judged", "unjudged"];
  const line = el("span", {}, answer === null ? el("em", {}, "no answer found") : el("code", { dir: "auto" }, datum(answer)));
  if (tag) line.append(el("span", { class: `tag ${tag}`, title: TAGS[tag][1] }, TAGS[tag][0]));
  const bar = el("b");
  bar.style.width = `${(100 * count) / total}%`;
  const summary = el("summary", {}, el("span", { class: kind, role: "img", "aria-label": word, title: word }, glyph), line,
    el("span", { class: "share" }, `${count} of ${total} · ${Math.round((100 * count) / total)} %`), el("span", { class: "bar" }, bar));
  const box = el("details", { class: `solution ${kind === "kept" ? "right" : ""}` }, summary);
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return;
    addSome(box, texts, ([head, tail, missing, times]) => [
      el("p", { class: "times" }, times > 1 ? `Sample text, ${times} times word for word` : "Sample text"), longText(head, tail, missing)], 3, "sample texts");
    if (!texts.length) box.append(el("p", { class: "cut" }, "No text of this solution is in this file."));
  });
  return box;
}

// Controls.
function choose(filter, run) {
  Object.assign(view, { filter, against: run });
  byId("against").value = String(run);
  byId("filters").querySelector(`[data-filter="${filter}"] input`).checked = true;
  refresh();
  byId("explorer").scrollIntoView();
}

function moveFocus(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  if (!event.target.classList.contains("row")) return;
  const item = event.target.parentElement;
  const next = event.key === "ArrowDown" ? item.nextElementSibling : item.previousElementSibling;
  if (next) next.firstChild.focus();
  event.preventDefault();
}

function start() {
  for (const filter of FILTERS) {
    const input = el("input", { type: "radio", name: "filter", value: filter });
    input.checked = filter === view.filter;
    input.addEventListener("change", () => { view.filter = filter; refresh(); });
    const glyph = STATUSES[filter] ? el("span", { class: filter, "aria-hidden": "true" }, STATUSES[filter][0]) : "";
    const word = filter === "changed" ? "solutions changed" : STATUSES[filter]?.[1] ?? filter;
    byId("filters").append(el("label", { "data-filter": filter }, input, glyph, word, el("small")));
  }
  if (COMPARED.length > 1) byId("against").append(el("option", { value: "0" }, "any"));
  for (const run of COMPARED) byId("against").append(el("option", { value: String(run) }, RUNS[run]));
  byId("against").value = String(view.against);
  byId("against-label").hidden = COMPARED.length < 2;
  byId("against").addEventListener("change", (event) => { view.against = Number(event.target.value); refresh(); });
  byId("order").addEventListener("change", (event) => { view.order = event.target.value; refresh(); });
  byId("deep").addEventListener("change", (event) => { view.deep = event.target.checked; refresh(); });
  let wait = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(wait);
    wait = setTimeout(() => { view.words = event.target.value; refresh(); }, 150);
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", showMore);
  byId("problems").addEventListener("keydown", moveFocus);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  byId("columns").append(el("span", { class: "rates" }, ...DATA.runs.map((name, run) => {
    const column = el("span", { class: "rate" }, datum(name, 60));
    column.style.borderBottomColor = hue(run);
    return column;
  })));
  drawAll(choose);
  explainTerms();
  refresh();
  document.documentElement.dataset.ready = "yes";
}
start();
