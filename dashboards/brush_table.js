"use strict";
// Select boxes that brush as the mouse does, which axes are shown, and the picture of all knobs in words.
const OPEN = "";
const ENDS = ["from", "to"];

function drawBrushTable() {
  const { all, axes } = shownParallel;
  const rows = all.map((axis) =>
    el(
      "li",
      { "data-axis": axis.key },
      el(
        "label",
        {},
        el("input", {
          type: "checkbox",
          "aria-label": `show ${axis.label}`,
          checked: axes.includes(axis),
          onchange: (e) => showAxis(axis, e.target.checked),
        }),
        axis.label + (axis.split || ""),
      ),
      ...ENDS.map((end) =>
        el("select", { "aria-label": `${axis.label}, ${end}`, "data-end": end, onchange: () => readRow(axis) }),
      ),
    ),
  );
  const held = document.activeElement && document.activeElement.closest("#brush-table [data-axis]");
  const again = held && [held.dataset.axis, document.activeElement.dataset.end || ""];
  clear(byId("brush-table")).append(
    el("p", { class: "hint" }, "Ticked axes are shown; from and to, or any."),
    el("ul", {}, ...rows),
  );
  syncBrushTable();
  if (again)
    rowOf(again[0])
      .querySelector(again[1] ? `[data-end="${again[1]}"]` : "input")
      .focus();
}
const rowOf = (key) =>
  [...document.querySelectorAll("#brush-table [data-axis]")].find((row) => row.dataset.axis === key);
// Boxes say what is brushed, whoever brushed it.
function syncBrushTable() {
  for (const axis of shownParallel.all) {
    const row = rowOf(axis.key),
      brush = parallel.brushes.get(axis.key);
    if (!row) continue;
    for (const end of ENDS)
      fillEnd(row.querySelector(`[data-end="${end}"]`), axis, brush ? brush[end] : null, Boolean(brush));
  }
}
function fillEnd(box, axis, value, brushed) {
  const stops = [...stopsOf(axis, 9)],
    isOpen = !brushed || (!axis.isKnob && value === null);
  if (!isOpen && !stops.some((stop) => valueKey(stop) === valueKey(value))) stops.push(value);
  const sorted = axis.isKnob ? stops : stops.sort((a, b) => a - b);
  const now = isOpen ? OPEN : valueKey(value),
    options = JSON.stringify([sorted, now]);
  if (box.dataset.options === options) return;
  box.dataset.options = options;
  clear(box).append(
    el("option", { value: OPEN }, "any"),
    ...sorted.map((stop) => el("option", { value: valueKey(stop) }, axis.text(stop))),
  );
  box.value = now;
}
function readRow(axis) {
  const [from, to] = ENDS.map((end) => rowOf(axis.key).querySelector(`[data-end="${end}"]`).value).map((text) =>
    text === OPEN ? undefined : JSON.parse(text),
  );
  const low = from === undefined ? (axis.isKnob ? axis.values[0] : null) : from,
    high = to === undefined ? (axis.isKnob ? axis.values.at(-1) : null) : to;
  if (from !== undefined && to !== undefined && valueShare(axis, from) > valueShare(axis, to))
    setBrush(axis, high, low);
  else setBrush(axis, low, high);
  if (parallel.brushes.has(axis.key) && !shownParallel.axes.some((one) => one.key === axis.key)) showAxis(axis, true);
}
// An axis that is not shown brushes nothing: what fades must be seen.
function showAxis(axis, on) {
  const shown = shownParallel.axes.map((one) => one.key).filter((key) => key !== axis.key);
  parallel.chosen = on ? [...shown, axis.key] : shown;
  if (!on) parallel.brushes.delete(axis.key);
  if (!parallel.chosen.length) parallel.chosen = null;
  drawParallel(byId("parallel"));
}

// What members have of an axis: one value, or from the least to the greatest.
function rangeWords(axis, rows) {
  if (axis.isKnob) {
    const ranks = rows.map(({ run, row }) => rankOn(axis, run, row));
    const [low, high] = [Math.min(...ranks), Math.max(...ranks)].map((rank) => axis.values[rank]);
    return !rows.length
      ? ""
      : valueKey(low) === valueKey(high)
        ? axis.text(low)
        : `${axis.text(low)} to ${axis.text(high)}`;
  }
  const values = rows.map(({ run, row }) => column(run, axis.name)[row]).filter(Number.isFinite);
  return values.length ? `${axis.text(Math.min(...values))} to ${axis.text(Math.max(...values))}` : "";
}
function mostOften(axis, rows) {
  if (!axis.isKnob || !rows.length) return "";
  const tally = new Map();
  for (const { run, row } of rows) tally.set(rankOn(axis, run, row), (tally.get(rankOn(axis, run, row)) || 0) + 1);
  const [rank, times_] = [...tally].reduce((a, b) => (b[1] > a[1] ? b : a));
  return `${axis.text(axis.values[rank])} (${times_} of ${rows.length})`;
}
function drawParallelWords() {
  const members = shownRuns().flatMap(memberRows),
    { all } = shownParallel;
  const rows = all.map((axis) => [
    axis.label,
    rangeWords(axis, members) || "–",
    mostOften(axis, members) || "–",
    axis.isKnob
      ? axis.values.map(axis.text).join(", ")
      : `${axis.text(axis.low)} to ${axis.text(axis.high)}${axis.cut.some(Boolean) ? ", a few beyond" : ""}`,
  ]);
  const box = byId("parallel-words");
  clear(box).append(
    el("summary", {}, "The same in words"),
    plainTable(
      "Members against all candidates; figures as the search saw them",
      ["knob or figure", "members", "most often", "candidates"],
      rows,
    ),
  );
}
