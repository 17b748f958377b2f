"use strict";
// Axes of the picture of all knobs: knobs that vary, and figures; where a candidate lies on each, and what is brushed.
const MOST_KNOB_AXES = 5;
const MOST_FIGURE_AXES = 4;
const UNSET_TEXT = "not set";
// `brushes`: axis key -> {from, to}, values of the axis, null where open; `chosen`: keys of the axes shown, null at first.
const parallel = { brushes: new Map(), chosen: null };

const sortValues = (a, b) => {
  const numbers = typeof a === "number" && typeof b === "number";
  if (a === null || b === null) return a === null ? -1 : 1;
  return numbers ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
};
const valueKey = (value) => JSON.stringify(value);
const knobText = (value) =>
  value === null
    ? UNSET_TEXT
    : typeof value === "string" || typeof value === "number"
      ? String(value)
      : JSON.stringify(value);

// Kept until there are other candidates or runs, or it is known what mattered.
let keptAxes = { key: "", axes: [] };
function allAxes() {
  const key = JSON.stringify(
    shownRuns().map((run) => [run.key, run.trials.count, run.summary.members.length, Boolean(importanceOf(run))]),
  );
  if (keptAxes.key !== key) keptAxes = { key, axes: madeAxes() };
  return keptAxes.axes;
}
function madeAxes() {
  const names = [...new Set(shownRuns().flatMap((run) => Object.keys(run.trials.knobs)))];
  const knobs = names.map(knobAxis).filter((axis) => axis.values.length > 1);
  knobs.sort((a, b) => shareOf(b.name) - shareOf(a.name));
  const keys = FIGURES.map((f) => f.key).filter((key) => shownRuns().some((run) => run.trials.values[key]));
  return [...knobs, ...keys.map(figureAxis).filter(Boolean)];
}
// A knob's share over all objectives that are known; without any, knobs stay in their order.
function shareOf(name) {
  const told = shownRuns()
    .map(importanceOf)
    .filter(Boolean)
    .flatMap((found) => Object.values(found.objectives));
  return told.reduce((sum, { knobs, explained }) => sum + (knobs[name] || 0) * Math.max(0, explained || 0), 0);
}
function knobAxis(name) {
  const places = new Map();
  let unset = false;
  for (const run of shownRuns()) {
    const knob = run.trials.knobs[name];
    for (const value of knob ? knob.values : []) places.set(valueKey(value), value);
    unset ||= !knob || (run.trials.count > 0 && knob.codes.includes(-1));
  }
  const values = [...(unset && places.size ? [null] : []), ...[...places.values()].sort(sortValues)];
  const rank = new Map(values.map((value, i) => [valueKey(value), i]));
  const ranks = new Map(
    shownRuns().map((run) => [
      run.key,
      ((run.trials.knobs[name] || {}).values || []).map((value) => rank.get(valueKey(value))),
    ]),
  );
  return {
    key: `knob:${name}`,
    name,
    label: knobName(name),
    isKnob: true,
    values,
    ranks,
    rank: (value) => rank.get(valueKey(value)),
    text: knobText,
  };
}
// Typed arrays are sorted as numbers, and fast.
function sortedFigures(key) {
  const parts = shownRuns().map((run) => column(run, key).filter(Number.isFinite));
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all.sort();
}
// The axis leaves out the outermost of candidates, which would squeeze the rest, but no member.
function figureAxis(key) {
  const all = sortedFigures(key);
  const { label, log, per, unit, better } = figure(key),
    usable = log ? all.filter((v) => v > 0) : all;
  if (!usable.length || usable[0] === usable.at(-1)) return null;
  const held = shownRuns()
    .flatMap((run) => memberRows(run).map(({ row }) => column(run, key)[row]))
    .filter(Number.isFinite);
  const low = Math.min(quantile(usable, 0.02), ...held.filter((v) => !log || v > 0)),
    high = Math.max(quantile(usable, 0.98), ...held);
  if (low === high) return null;
  const put = log ? logScale(low, high, 0, 1) : linearScale(low, high, 0, 1);
  const split = hasSplits(key) ? ", search split" : "";
  return {
    key: `figure:${key}`,
    name: key,
    label: `${label}${unit ? `, ${unit}` : ""}`,
    split,
    better,
    isKnob: false,
    log,
    per,
    low,
    high,
    cut: [usable[0] < low, usable.at(-1) > high],
    put,
    text: (value) => tickText(value / per),
  };
}
// 0 to 1 along an axis; NaN where a candidate has no such figure.
function shareOn(axis, run, row) {
  if (axis.isKnob) return rankOn(axis, run, row) / (axis.values.length - 1);
  return Math.min(1, Math.max(0, axis.put(column(run, axis.name)[row])));
}
function rankOn(axis, run, row) {
  const knob = run.trials.knobs[axis.name],
    code = knob ? knob.codes[row] : -1;
  return known(code) && code >= 0 ? axis.ranks.get(run.key)[code] : 0;
}
// Figures to choose between on an axis, as its marks and as stops of its select boxes.
function stopsOf(axis, most) {
  if (axis.isKnob) return axis.values;
  const low = axis.low / axis.per,
    high = axis.high / axis.per;
  const ticks = axis.log && high / low > 3 ? logTicks(low, high, most) : linearTicks(low, high, most);
  return ticks.filter((tick) => tick >= low && tick <= high).map((tick) => tick * axis.per);
}
const valueShare = (axis, value) =>
  axis.isKnob ? (axis.rank(value) ?? 0) / (axis.values.length - 1) : axis.put(value);
// The value at a place: of a knob the nearest one, of a figure three digits; open at an end of the axis.
function axisValueAt(axis, share) {
  if (axis.isKnob) return axis.values[Math.round(Math.min(1, Math.max(0, share)) * (axis.values.length - 1))];
  if (share <= 0.01 || share >= 0.99) return null;
  const value = axis.log ? axis.low * (axis.high / axis.low) ** share : axis.low + share * (axis.high - axis.low);
  return Number((value / axis.per).toPrecision(axis.log ? 3 : 4)) * axis.per;
}

// The rows of a run's members among its candidates; a member whose candidate is not in the journal has none.
const rowsOfMembers = new Map();
function memberRows(run) {
  const { trials, summary } = run,
    key = `${trials.count} ${summary.members.map((m) => m.record).join(" ")}`;
  const kept = rowsOfMembers.get(run.key);
  if (kept && kept.key === key) return kept.rows;
  const wanted = new Map(summary.members.map((member) => [member.record, member]));
  const rows = [];
  trials.id.forEach(
    (id, row) =>
      wanted.has(id) && rows.push({ run, row, member: wanted.get(id), ref: `${run.key}/${wanted.get(id).id}` }),
  );
  rowsOfMembers.set(run.key, { key, rows });
  return rows;
}

const whichAxes = (all) => {
  if (parallel.chosen) return all.filter((axis) => parallel.chosen.includes(axis.key));
  const objectives = new Set(shownRuns().flatMap((run) => run.objectives.map((o) => o.key)));
  const figures = all.filter((axis) => !axis.isKnob && objectives.has(axis.name));
  return [...all.filter((axis) => axis.isKnob).slice(0, MOST_KNOB_AXES), ...figures.slice(0, MOST_FIGURE_AXES)];
};
// Whether a candidate lies inside every brush, made once for many candidates.
function matcher(all) {
  const tests = [...parallel.brushes].flatMap(([key, { from, to }]) => {
    const axis = all.find((one) => one.key === key);
    if (!axis) return [];
    const low = from === null && !axis.isKnob ? -Infinity : axis.isKnob ? (axis.rank(from) ?? 0) : from;
    const high = to === null && !axis.isKnob ? Infinity : axis.isKnob ? (axis.rank(to) ?? axis.values.length - 1) : to;
    const at = axis.isKnob ? (run, row) => rankOn(axis, run, row) : (run, row) => column(run, axis.name)[row];
    return [(run, row) => at(run, row) >= low && at(run, row) <= high];
  });
  return (run, row) => tests.every((test) => test(run, row));
}
