"use strict";
// Brushing the picture of all knobs: by dragging, by clicking a value, or by select boxes; what matches is said and named.
const CLICK_PX = 5;
const MOST_NAMED = 24;

// The part of an axis that takes the pointer.
function axisTouch(axis, i, place) {
  const [x1, y1] = place.at(i, 0),
    [x2, y2] = place.at(i, 1);
  const half = place.upright ? Math.min(34, place.gap / 2 - 4) : 16;
  const box = place.upright
    ? { x: x1 - half, y: y2 - 8, width: half + 12, height: y1 - y2 + 16 }
    : { x: x1 - 10, y: y1 - 6, width: x2 - x1 + 20, height: 24 };
  const node = svg(
    "rect",
    { ...box, class: `axis-touch ${place.upright ? "upright" : "lying"}`, "data-axis": axis.key },
    svg("title", {}, `${axis.label}: drag to choose a range, click a value to choose it`),
  );
  node.addEventListener("pointerdown", (event) => startBrush(event, axis, place, node));
  return node;
}
function startBrush(event, axis, place, node) {
  if (event.button) return;
  event.preventDefault();
  const shareAt = (e) => {
    const frame = shownParallel.node.getBoundingClientRect();
    return place.along(e.clientX - frame.left, e.clientY - frame.top);
  };
  const start = shareAt(event),
    from = { x: event.clientX, y: event.clientY };
  let dragged = false;
  shownParallel.held = true;
  const move = (e) => {
    dragged ||= Math.hypot(e.clientX - from.x, e.clientY - from.y) > CLICK_PX;
    if (dragged) setBrush(axis, ...dragRange(axis, start, shareAt(e)));
  };
  const end = (e) => {
    node.removeEventListener("pointermove", move);
    shownParallel.held = false;
    drawKnobs();
    if (e.type === "pointerup" && !dragged) clickAxis(axis, start);
  };
  node.setPointerCapture(event.pointerId);
  node.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, end, { once: true });
}
function dragRange(axis, a, b) {
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  if (axis.isKnob) return [axisValueAt(axis, low), axisValueAt(axis, high)];
  return [
    low <= 0.01 ? null : axisValueAt(axis, Math.min(low, 0.98)),
    high >= 0.99 ? null : axisValueAt(axis, Math.max(high, 0.02)),
  ];
}
// A click on a value of a knob chooses it, on the chosen one lets it go; a figure's axis is let go.
function clickAxis(axis, share) {
  if (!axis.isKnob) return clearBrush(axis.key);
  const value = axisValueAt(axis, share),
    held = parallel.brushes.get(axis.key);
  if (held && valueKey(held.from) === valueKey(value) && valueKey(held.to) === valueKey(value))
    return clearBrush(axis.key);
  return setBrush(axis, value, value);
}
function clearBrush(key) {
  if (key) parallel.brushes.delete(key);
  else parallel.brushes.clear();
  brushesChanged();
}
function setBrush(axis, from, to) {
  const whole = axis.isKnob
    ? axis.rank(from) === 0 && axis.rank(to) === axis.values.length - 1
    : from === null && to === null;
  if (whole) parallel.brushes.delete(axis.key);
  else parallel.brushes.set(axis.key, { from, to });
  brushesChanged();
}
const brushesChanged = once(() => {
  showBrushes();
  syncBrushTable();
});

// Lines outside fade; what matches is counted among all candidates, not only those that are drawn.
function showBrushes() {
  const { all, lines, node } = shownParallel;
  if (!node) return;
  const fits = matcher(all),
    brushed = parallel.brushes.size > 0;
  node.classList.toggle("brushed", brushed);
  for (const line of lines) {
    line.node.classList.toggle("inside", brushed && fits(line.run, line.row));
    line.node.classList.toggle("picked", line.isMember && state.pick === line.ref);
    if (line.touch) line.touch.classList.toggle("off", brushed && !fits(line.run, line.row));
  }
  drawBrushMarks();
  tellBrushed(fits, brushed);
}
function drawBrushMarks() {
  const { axes, node, place } = shownParallel,
    marks = node.querySelector(".brush-marks");
  const shown = axes.flatMap((axis, i) => (parallel.brushes.has(axis.key) ? [brushMark(axis, i, place)] : []));
  marks.replaceChildren(...shown);
}
function brushMark(axis, i, place) {
  const { from, to } = parallel.brushes.get(axis.key),
    air = axis.isKnob ? 11 / place.length : 0;
  const low = (from === null && !axis.isKnob ? 0 : valueShare(axis, from)) - air,
    high = (to === null && !axis.isKnob ? 1 : valueShare(axis, to)) + air;
  const [x1, y1] = place.at(i, low),
    [x2, y2] = place.at(i, high);
  const box = place.upright
    ? { x: x1 - 7, y: y2, width: 14, height: Math.max(2, y1 - y2) }
    : { x: x1, y: y1 - 7, width: Math.max(2, x2 - x1), height: 14 };
  return svg("rect", { ...box, rx: 3, class: "brush-mark" });
}
function brushWords(axis, { from, to }) {
  if (axis.isKnob)
    return valueKey(from) === valueKey(to)
      ? `${axis.label} ${axis.text(from)}`
      : `${axis.label} ${axis.text(from)} to ${axis.text(to)}`;
  const unit = figure(axis.name).unit,
    text = (value) => `${axis.text(value)}${unit ? ` ${unit}` : ""}`,
    { label } = figure(axis.name);
  if (from === null) return `${label} at most ${text(to)}`;
  return to === null ? `${label} at least ${text(from)}` : `${label} ${axis.text(from)} to ${text(to)}`;
}
function tellBrushed(fits, brushed) {
  const { all } = shownParallel,
    members = shownRuns().flatMap(memberRows),
    total = shownRuns().reduce((sum, run) => sum + run.trials.count, 0);
  const lines = shownParallel.lines.length - members.length,
    sample = lines + members.length < total ? ` ${count(lines, "candidate")} drawn, taken at random.` : "";
  const box = byId("brushed"),
    named = byId("brushed-members");
  if (!brushed) {
    tellOnce(box, `${count(total, "candidate")}, ${members.length} of them members.${sample}${noLineWords()}`);
    clear(named);
    return;
  }
  let match = 0;
  for (const run of shownRuns()) for (let row = 0; row < run.trials.count; row++) match += fits(run, row) ? 1 : 0;
  const words = [...parallel.brushes].flatMap(([key, brush]) =>
    all.filter((axis) => axis.key === key).map((axis) => brushWords(axis, brush)),
  );
  const inside = members.filter(({ run, row }) => fits(run, row));
  tellOnce(
    box,
    `With ${listed(words)}: ${match.toLocaleString("en")} of ${count(total, "candidate")} match, ${inside.length ? `${inside.length} of ${count(members.length, "member")}:` : "no member."}`,
  );
  nameMembers(named, inside);
}
// A live region speaks whenever it is written to: only what is new is written.
function tellOnce(box, words) {
  if (box.textContent !== words) box.textContent = words;
}
function noLineWords() {
  const without = shownRuns().reduce((sum, run) => sum + run.summary.members.length - memberRows(run).length, 0);
  return without ? ` ${count(without, "member")} without a line: the journal has no candidate of that name.` : "";
}
function nameMembers(box, inside) {
  const named = JSON.stringify([inside.map(({ ref }) => ref), state.pick]);
  if (box.dataset.named === named && box.childElementCount) return;
  box.dataset.named = named;
  const held =
    document.activeElement && box.contains(document.activeElement) ? document.activeElement.dataset.ref : null;
  const buttons = inside.slice(0, MOST_NAMED).map(({ ref, member, run }) =>
    el(
      "button",
      {
        type: "button",
        class: "small",
        "data-ref": ref,
        "aria-pressed": String(state.pick === ref),
        title: member.describe,
        onclick: () => setState({ pick: ref }),
      },
      nameOf({ ...member, run }),
    ),
  );
  const more =
    inside.length > MOST_NAMED ? [el("span", { class: "hint" }, `and ${inside.length - MOST_NAMED} more`)] : [];
  clear(box).append(
    ...buttons,
    ...more,
    el("button", { type: "button", class: "small clear-brushes", onclick: () => clearBrush() }, "Show all again"),
  );
  const again = held && buttons.find((button) => button.dataset.ref === held);
  if (again) again.focus();
}
