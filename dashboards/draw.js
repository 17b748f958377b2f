"use strict";
// Small pictures inside cards, as SVG, without a library. One unit is one pixel: texts keep their size on a phone.
const SVG_SPACE = "http://www.w3.org/2000/svg";
let drawings = 0;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG_SPACE, tag);
  for (const [name, value] of Object.entries(attributes || {})) if (known(value)) node.setAttribute(name, value);
  node.append(...children.filter(known).map((child) => (typeof child === "number" ? String(child) : child)));
  return node;
}

// A whole picture: its title and description are what a screen reader says of it.
function drawing(width, height, title, description, ...children) {
  const id = `drawing-${(drawings += 1)}`;
  return svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-t ${id}-d` },
    svg("title", { id: `${id}-t` }, title),
    svg("desc", { id: `${id}-d` }, description),
    ...children,
  );
}

// A box whose picture is drawn anew whenever its width changes.
function fitted(draw, name) {
  const box = el("div", { class: `picture ${name || ""}` });
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width < 60 || width === drawn) return;
    drawn = width;
    clear(box);
    box.append(draw(width));
  }).observe(box);
  return box;
}

function svgText(x, y, text, anchor, className) {
  return svg("text", { x, y, "text-anchor": anchor || "start", class: className }, text);
}

// Cividis: dark blue is few, yellow is many; it reads the same with every kind of colour vision.
const CIVIDIS = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [225, 204, 85],
  [254, 232, 56],
];
function cividis(share) {
  const place = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(place));
  return CIVIDIS[low].map((from, i) => Math.round(from + (place - low) * (CIVIDIS[low + 1][i] - from)));
}
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
// Text on a colour: whichever of black and white stands out more.
const inkOn = (rgb) => (luminance(rgb) > 0.179 ? "#000" : "#fff");
const rgbText = (rgb) => `rgb(${rgb.join(" ")})`;

const linearScale = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
function logScale(low, high, from, to) {
  const straight = linearScale(Math.log(low), Math.log(high), from, to);
  return (value) => straight(Math.log(value));
}
// 1, 2, 5, 10, … inside the range; where that would be crowded, tenfold steps alone.
function logTicks(low, high, most) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    for (const step of [1, 2, 5]) ticks.push(step * 10 ** power);
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  if (inside.length < 3) return linearTicks(low, high, Math.min(most || 5, 5));
  if (inside.length <= (most || 7)) return inside;
  const tens = inside.filter((tick) => /^1(e|0*$|\.?0*$)|^0\.0*1$/.test(String(Number(tick.toPrecision(1)))));
  return tens.length > 1 ? tens : inside.filter((_, i) => i % 2 === 0);
}
function linearTicks(low, high, most) {
  const raw = (high - low) / (most || 5) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(tick);
  return ticks;
}
const tickText = (value) => String(Number(value.toPrecision(3)));

function xAxis(ticks, scale, y, top, name, width) {
  const marks = ticks.map((tick) =>
    svg(
      "g",
      {},
      svg("line", { x1: scale(tick), x2: scale(tick), y1: top, y2: y, class: "grid" }),
      svgText(scale(tick), y + 14, tickText(tick), "middle", "tick"),
    ),
  );
  return svg("g", { class: "axis" }, ...marks, svgText(width, y + 29, name, "end", "tick"));
}
function yAxis(ticks, scale, x, right, name) {
  const marks = ticks.map((tick) =>
    svg(
      "g",
      {},
      svg("line", { x1: x, x2: right, y1: scale(tick), y2: scale(tick), class: "grid" }),
      svgText(x - 5, scale(tick) + 4, tickText(tick), "end", "tick"),
    ),
  );
  return svg("g", { class: "axis" }, ...marks, svgText(0, 11, name, "start", "tick"));
}

// The value below which a share of sorted values lies.
function quantile(sorted, share) {
  const place = share * (sorted.length - 1),
    low = Math.floor(place);
  return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}
