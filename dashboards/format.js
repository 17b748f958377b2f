"use strict";
// Numbers and elements as the page shows them. Every text of a run reaches the page as text, never as markup.
const known = (value) => value !== null && value !== undefined;
const three = (value) => (Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toPrecision(3));
const size = (b) => (!known(b) ? "–" : b < 999500 ? `${(b / 1e3).toFixed(0)} kB` : `${three(b / 1e6)} MB`);
const millis = (ms, predicted, disturbed) =>
  known(ms) ? (predicted ? `~${three(ms)} ms predicted` : `${three(ms)} ms${disturbed ? " ! disturbed" : ""}`) : "–";
// How a multiple of the teacher's time is marked where that time was not simply measured.
const timesFaster = (m) =>
  known(m.times_faster)
    ? `${m.latency_predicted ? "~" : ""}${times(m.times_faster)}${m.latency_disturbed ? " !" : ""}`
    : times(m.times_faster);
const times = (x) => (known(x) ? `×${three(x)}` : "–");
const fraction = (x) => (known(x) ? x.toFixed(4) : "–");
const withSign = (value, digits) => {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : (value < 0 ? "−" : "+") + text;
};
// Points to the teacher with their standard error.
const points = (m) => {
  if (!known(m.score_difference)) return "–";
  const error = known(m.score_difference_se) ? ` ± ${(100 * m.score_difference_se).toFixed(1)}` : "";
  return withSign(100 * m.score_difference, 1) + error;
};
const duration = (s) => {
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};
const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many || `${one}s`}`;
const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
// Plotly reads markup in its texts: what comes from a run is escaped there.
const safe = (text) =>
  String(text ?? "")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;");
function wrapped(text, width = 60) {
  const lines = [""];
  for (const word of String(text ?? "").split(" ")) {
    if ((lines.at(-1) + word).length > width && lines.at(-1)) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => safe(line.trim())).join("<br>");
}
// As a shell takes it.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'"'"'`)}'`);
const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// `el("a", {href: "#x", onclick: f}, "text", node, …)`: children that are texts stay texts.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (known(value) && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => known(child) && child !== false));
  return node;
}
function clear(node) {
  node.replaceChildren();
  return node;
}
// Calls that come faster than the screen is drawn are one call.
function once(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}
