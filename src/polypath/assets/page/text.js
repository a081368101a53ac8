// Text from models is data: it reaches the page through here alone, as text nodes, never as markup.
"use strict";

// Signs that would vanish, reorder what follows, or could not be written at all.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu;
const ON_SCREEN = 4000; // characters of a text shown before "show more"

function codePoint(sign) {
  return "U+" + sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

// The first signs of a text; a pair of surrogates stays together.
function first(text, limit) {
  return text.slice(0, /[\ud800-\udbff]/.test(text.charAt(limit - 1)) ? limit + 1 : limit);
}

// For places that hold no markup: options, titles, charts.
function plain(text, limit = 80) {
  const cut = text.length > limit ? first(text, limit) + "…" : text;
  return cut.replace(UNSEEN, (sign) => `[${codePoint(sign)}]`);
}

// Appends text to a node; unseen signs become small visible names.
function write(node, text) {
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > from) node.append(text.slice(from, match.index));
    node.append(el("span", { class: "sign", title: "unseen character" }, codePoint(match[0])));
    from = match.index + match[0].length;
  }
  if (from < text.length) node.append(text.slice(from));
  return node;
}

// Makes an element; attribute values are ours, children are nodes or our own strings.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A short piece of data inside a line of ours, its direction kept to itself.
function datum(text, limit = 400) {
  return write(el("bdi"), text.length > limit ? first(text, limit) + "…" : text);
}

// A long text in a box of its own; `missing` characters between head and tail are not in the file.
function longText(head, tail, missing) {
  const box = el("div", { class: "text" });
  const body = el("pre", { dir: "auto", tabindex: "0" });
  const shown = first(head, ON_SCREEN);
  write(body, shown);
  box.append(body);
  if (head.length > shown.length) {
    const button = el("button", { type: "button", class: "rest" }, `Show ${number(head.length - shown.length)} more characters`);
    button.addEventListener("click", () => {
      write(body, head.slice(shown.length));
      button.remove();
      body.focus();
    });
    box.append(button);
  }
  if (missing) {
    box.append(el("p", { class: "cut" }, `${number(missing)} more characters are not in this file${tail ? "; the text ends with" : ""}`));
    if (tail) box.append(write(el("pre", { dir: "auto", tabindex: "0" }), tail));
  }
  return box;
}

function number(value) {
  return value.toLocaleString("en");
}

const DATA = JSON.parse(document.getElementById("data").textContent);

// What a measure means, in a bubble beside it while the mouse or the focus is on it; Escape closes it.
// Without scripts the title does, and its link leads to the glossary.
function explainTerms() {
  const bubble = el("div", { id: "bubble", role: "tooltip" });
  bubble.hidden = true;
  document.body.append(bubble);
  let over = null;
  const close = () => {
    if (!over) return;
    over.title = bubble.textContent;
    over.removeAttribute("aria-describedby");
    over = null;
    bubble.hidden = true;
  };
  const place = () => {
    if (!over) return;
    const at = over.getBoundingClientRect(), size = bubble.getBoundingClientRect();
    bubble.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    bubble.style.top = `${at.bottom + size.height + 12 < innerHeight ? at.bottom + 6 : at.top - size.height - 6}px`;
  };
  const open = ({ target }) => {
    const node = target.closest?.(".term");
    if (node === over) return;
    close();
    if (!node) return;
    over = node;
    bubble.textContent = node.title;
    node.removeAttribute("title");
    node.setAttribute("aria-describedby", "bubble");
    bubble.hidden = false;
    place();
  };
  for (const event of ["mouseover", "focusin"]) document.addEventListener(event, open);
  document.addEventListener("focusout", close);
  document.addEventListener("scroll", place, true); // moving the focus scrolls
  document.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  const show = () => { // a closed list would hide what a link leads to
    const entry = document.getElementById(location.hash.slice(1));
    const list = entry?.closest("#glossary")?.querySelector("details");
    if (list) { list.open = true; entry.scrollIntoView(); }
  };
  addEventListener("hashchange", show);
  show();
}
