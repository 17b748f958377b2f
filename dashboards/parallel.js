"use strict";
// All knobs at once: an axis for each, a line for each member and for a sample of the candidates; dragging on an axis brushes.
const MOST_LINES = 320;
const LEAST_GAP = 92;
const ROW_GAP = 62;
const shownParallel = { all: [], axes: [], lines: [], picture: null, box: null };

// A sample that stays as it is while candidates are added to others: rows by a hash of run and number.
function sampledRows() {
  const rows = shownRuns().flatMap((run) => {
    const members = new Set(memberRows(run).map(({ row }) => row));
    return Array.from({ length: run.trials.count }, (_, row) => ({
      run,
      row,
      at: hashed(row, runs.indexOf(run)),
    })).filter(({ row }) => !members.has(row));
  });
  return rows.length <= MOST_LINES ? rows : rows.sort((a, b) => a.at - b.at).slice(0, MOST_LINES);
}
function hashed(row, salt) {
  let mixed = Math.imul(row + 1, 2654435761) ^ Math.imul(salt + 7, 40503);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 2246822519);
  return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 32;
}

function drawParallel(box) {
  if (shownParallel.held) return; // what a hand drags on stays; what is new is drawn when it lets go
  const all = allAxes(),
    rows = shownRuns().reduce((sum, run) => sum + run.trials.count, 0);
  if (!all.length || !rows) {
    clear(box).append(missing("No candidate is measured yet."));
    shownParallel.box = null;
    return;
  }
  const axes = whichAxes(all);
  Object.assign(shownParallel, { all, axes });
  if (!shownParallel.box || !shownParallel.box.isConnected) makeParallel(box);
  const drawn = JSON.stringify([
    state.runs,
    rows,
    axes.map((a) => [a.key, a.values, a.low, a.high]),
    shownRuns().map((run) => memberRows(run).length),
  ]);
  if (shownParallel.drawn !== drawn) redrawParallel(drawn);
  showBrushes();
}
function redrawParallel(drawn) {
  shownParallel.drawn = drawn;
  const picture = fitted((width) => parallelPicture(width), "parallel");
  shownParallel.picture.replaceWith(picture);
  shownParallel.picture = picture;
  clear(byId("parallel-legend")).append(...(runs.length > 1 ? [runLegend(shownRuns())] : []));
  drawBrushTable();
  drawParallelWords();
}
function makeParallel(box) {
  const picture = el("div", {});
  Object.assign(shownParallel, { picture, box: el("div", { class: "parallel-box" }), drawn: "" });
  shownParallel.box.append(
    el(
      "p",
      { class: "hint" },
      "Each line is a candidate; the bold ones are members. Drag along an axis, or click a value, to see what fits; click a bold line for its card. Lines that share a value are set a little apart.",
    ),
    picture,
    el("div", { id: "parallel-legend" }),
    el("p", { id: "brushed", "aria-live": "polite" }),
    el("p", { id: "brushed-members", class: "buttons" }),
    el(
      "details",
      { id: "brush-boxes" },
      el("summary", {}, "Choose values and axes without the mouse"),
      el("div", { id: "brush-table" }),
    ),
    el("details", { id: "parallel-words" }, el("summary", {}, "The same in words")),
  );
  clear(box).append(shownParallel.box);
}

// Axes upright side by side where there is room, else lying one below the other.
function parallelPicture(width) {
  const { axes } = shownParallel,
    upright = (width - 150) / Math.max(1, axes.length - 1) >= LEAST_GAP;
  const place = upright ? uprightPlace(width, axes.length) : lyingPlace(width, axes.length);
  const faint = sampledRows().map((one) => linePath(one, place, false));
  const bold = shownRuns()
    .flatMap(memberRows)
    .map((one) => linePath(one, place, true));
  shownParallel.lines = [...faint, ...bold];
  const node = drawing(
    width,
    place.height,
    "Knobs and figures of candidates",
    parallelSummary(),
    svg("g", { class: "faint-lines" }, ...faint.map((line) => line.node)),
    ...axes.map((axis, i) => axisLine(axis, i, place)),
    svg("g", {}, ...bold.map((line) => line.node)),
    svg("g", { class: "brush-marks" }),
    ...axes.map((axis, i) => axisText(axis, i, place)),
    svg("g", {}, ...bold.map(lineTouch)),
    ...axes.map((axis, i) => axisTouch(axis, i, place)),
  );
  Object.assign(shownParallel, { place, node });
  requestAnimationFrame(showBrushes);
  return node;
}
function uprightPlace(width, number) {
  const top = 54,
    foot = 338,
    gap = (width - 150) / Math.max(1, number - 1);
  const at = (i, share) => [84 + i * gap, foot - share * (foot - top)];
  return { upright: true, height: 356, length: foot - top, gap, at, along: (x, y) => (foot - y) / (foot - top) };
}
function lyingPlace(width, number) {
  const left = 14,
    right = width - 16;
  const at = (i, share) => [left + share * (right - left), 34 + i * ROW_GAP];
  return {
    upright: false,
    height: 64 + (number - 1) * ROW_GAP,
    length: right - left,
    gap: ROW_GAP,
    at,
    along: (x) => (x - left) / (right - left),
  };
}
// Lines of one knob's value would hide each other: each is moved by a few pixels, always by the same.
function shifted(axis, one, place) {
  const share = shareOn(axis, one.run, one.row);
  if (!axis.isKnob) return share;
  const room = Math.min(9 / place.length, 0.32 / (axis.values.length - 1));
  return share + (hashed(one.row * 31 + axis.label.length, 3) - 0.5) * 2 * room;
}
function linePath(one, place, isMember) {
  let open = false;
  const steps = shownParallel.axes.map((axis, i) => {
    const share = shifted(axis, one, place);
    if (Number.isNaN(share)) {
      open = false;
      return "";
    }
    const [x, y] = place.at(i, share),
      step = `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = true;
    return step;
  });
  const number = runs.indexOf(one.run) % SHAPES.length;
  const tone = isMember
    ? `member-line run-line-${number}`
    : runs.length > 1
      ? `faint-line run-line-${number}`
      : "faint-line";
  return { ...one, isMember, d: steps.join(""), node: svg("path", { d: steps.join(""), class: tone }) };
}
function lineTouch(line) {
  const node = svg(
    "path",
    { d: line.d, class: "line-touch" },
    svg("title", {}, `${nameOf({ ...line.member, run: line.run })}: ${line.member.describe || ""}`),
  );
  node.addEventListener("click", () => setState({ pick: line.ref }));
  for (const [event, on] of [
    ["pointerenter", true],
    ["pointerleave", false],
  ])
    node.addEventListener(event, () => line.node.classList.toggle("hovered", on));
  line.touch = node;
  return node;
}
function axisLine(axis, i, place) {
  const [x1, y1] = place.at(i, 0),
    [x2, y2] = place.at(i, 1);
  return svg("line", { x1, y1, x2, y2, class: "knob-axis" });
}
function axisText(axis, i, place) {
  const stops = thinned(stopsOf(axis, 5), axis, place),
    ticks = stops.map((value) => tickOf(axis, i, value, place));
  return svg("g", { class: "knob-ticks" }, ...ticks, ...axisNames(axis, i, place));
}
// As many marks as can be read, the ends among them.
function thinned(stops, axis, place) {
  const widest = Math.max(...stops.map((value) => axis.text(value).length)) * 6.5 + 10;
  const room = Math.max(2, Math.floor(place.length / (place.upright ? 17 : widest))),
    stride = Math.ceil(stops.length / room);
  return stops.filter((_, n) => n % stride === 0);
}
function tickOf(axis, i, value, place) {
  const [x, y] = place.at(i, valueShare(axis, value)),
    text = axis.text(value);
  return place.upright
    ? svg("g", {}, svg("line", { x1: x - 4, x2: x, y1: y, y2: y }), svgText(x - 7, y + 4, text, "end"))
    : svg(
        "g",
        {},
        svg("line", { x1: x, x2: x, y1: y, y2: y + 4 }),
        svgText(x, y + 15, text, x < 24 ? "start" : x > place.length ? "end" : "middle"),
      );
}
function axisNames(axis, i, place) {
  const arrow = axis.better ? (axis.better === "less" ? " ↓" : " ↑") : "";
  if (!place.upright)
    return [svgText(10, place.at(i, 0)[1] - 9, axis.label + (axis.split || "") + arrow, "start", "knob-name")];
  const [x] = place.at(i, 1),
    room = Math.max(10, Math.floor((place.gap - 8) / 6.1));
  const lines = inLines(axis.label + (axis.split || "") + arrow, room);
  return lines.map((line, n) => svgText(x, 38 - 13 * (lines.length - 1 - n), line, "middle", "knob-name"));
}
function inLines(text, room) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1) && `${lines.at(-1)} ${word}`.length > room && lines.length < 3) lines.push("");
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines;
}
// What a screen reader says of the picture.
const parallelSummary = () => {
  const { axes } = shownParallel,
    members = shownRuns().flatMap(memberRows);
  const told = axes.map((axis) => `${axis.label}: ${rangeWords(axis, members) || "no member"}`);
  return `${count(axes.length, "axis", "axes")}. What the ${count(members.length, "member")} have: ${told.join("; ")}.`;
};
