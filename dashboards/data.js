"use strict";
// The runs of the page: figures, members, trials as columns, and what a live run adds to them.
const page = JSON.parse(document.getElementById("run-data").textContent);
const runs = page.runs;
// a metric about one label names it: f1 of spam
const metricOf = ({ metric: name, positive }) => (positive ? `${name} of ${positive.slice(0, 40)}` : name);
const metric = [...new Set(runs.map((run) => metricOf(run.summary)))].join(" / ");
const marksOf = (item, { marks }) =>
  item && marks ? { predicted: item[`${marks}_predicted`], disturbed: item[`${marks}_disturbed`] } : {};
const inMs = (value, item) => millis(value, item && item.latency_predicted, item && item.latency_disturbed);
// How a number of a unit is written; of any other unit three digits and its name.
const WRITTEN = {
  bytes: (v) => size(v),
  ms: (v, { predicted, disturbed }) => millis(v, predicted, disturbed),
  fraction: (v) => fraction(v),
  count: (v) => (known(v) ? v.toLocaleString("en") : "–"),
};
const AXIS_UNITS = { bytes: ["MB", 1e6], fraction: ["", 1], count: ["", 1] };
// What the measures of all runs say of their figures; axes of sizes and times are logarithmic.
function figureFrom(told, labels) {
  const [unit, per] = AXIS_UNITS[told.unit] || [told.unit, 1];
  const write = WRITTEN[told.unit] || ((v) => (known(v) ? `${three(v)} ${told.unit}`.trim() : "–"));
  return {
    ...told,
    label: labels.join(" / "),
    unit,
    per,
    log: told.better === "less" && told.unit !== "",
    show: (value, item) => write(value, marksOf(item, told)),
  };
}
const toldFigures = runs.flatMap((run) => run.summary.figures.filter((f) => f.is_drawn));
const FIGURES = [...new Set(toldFigures.map((f) => f.key))].map((key) => {
  const same = toldFigures.filter((f) => f.key === key);
  return figureFrom(same[0], [...new Set(same.map((f) => f.label.slice(0, 60)))]);
});
const figure = (key) => FIGURES.find((f) => f.key === key);

const keyIn = (item, { keys }) => keys.find((key) => known(item[key]));
// Whether members have it of both splits.
const hasSplits = (key) => figure(key).keys.length > 1;
// A figure of a member or landmark: of the held-out split where there is one.
function figureOf(item, key) {
  return item[keyIn(item, figure(key)) ?? key];
}
const shownFigure = (item, key) => figure(key).show(figureOf(item, key), item);
const isPredicted = (item, key) => Boolean(marksOf(item, figure(key)).predicted);
// What the figure's value may differ by if it were measured again.
function errorOf(item, key) {
  const { keys, spreads, unit } = figure(key),
    spread = item[spreads[keys.indexOf(keyIn(item, figure(key)))]] || 0;
  return unit === "ms" ? spread / 2 : spread;
}
const isBetter = (a, b, key) => (figure(key).better === "less" ? a < b : a > b);
const MARKS = [
  ["teacher", "teacher"],
  ["plain_int8", "plain int8"],
];
const landmarksOf = (run) =>
  MARKS.filter(([id]) => run.summary[id]).map(([id, label]) => ({
    ...run.summary[id],
    id,
    label,
    run,
    ref: `${run.key}/${id}`,
  }));
const membersOf = (run) => run.summary.members.map((m) => ({ ...m, run, ref: `${run.key}/${m.id}` }));
const shownRuns = () => runs.filter((run) => state.runs.includes(run.key));
const shownMembers = () => shownRuns().flatMap(membersOf);
const nameOf = (item) => (item.label || item.id) + (runs.length > 1 ? ` of ${item.run.name}` : "");
// The member or landmark of `r0/m03`.
function memberOf(ref) {
  const [key, id] = String(ref).split("/");
  const run = runs.find((r) => r.key === key);
  const member = run && [...run.summary.members, ...landmarksOf(run)].find((m) => m.id === id);
  return member ? { run, member, ref } : null;
}

// Trials' figures as numbers in one array, NaN where there is none; kept until the run has more of them.
const columns = new Map();
function column(run, key) {
  const name = `${run.key} ${key}`,
    kept = columns.get(name);
  if (kept && kept.length === run.trials.count) return kept;
  const values = run.trials.values[key] || [];
  const made = Float64Array.from({ length: run.trials.count }, (_, i) => (known(values[i]) ? values[i] : NaN));
  columns.set(name, made);
  return made;
}
const knobOf = (run, name, row) => {
  const knob = run.trials.knobs[name];
  return knob.codes[row] < 0 || !known(knob.codes[row]) ? null : knob.values[knob.codes[row]];
};
function trialOf(run, row) {
  const { id, rung, job, jobs, predicted, values, at_s } = run.trials;
  const figures = Object.fromEntries(Object.keys(values).map((key) => [key, values[key][row]]));
  return {
    id: id[row],
    ref: `${run.key}/${id[row]}`,
    run,
    rung: rung[row],
    at_s: at_s[row],
    ...jobs[job[row]],
    id: id[row],
    ...figures,
    latency_predicted: Boolean(predicted && predicted[row]),
  };
}

const dataListeners = [];
const onData = (fn) => dataListeners.push(fn);
function merge(index, update) {
  const run = runs[index];
  Object.assign(run, update.run);
  if (update.member) run.trials.member = update.member;
  for (const row of update.rows || []) addRow(run.trials, row);
  dataListeners.forEach((fn) => fn(index, update));
}
function addRow(trials, row) {
  const at = trials.count;
  if (trials.id[at - 1] === row.id) return;
  trials.count += 1;
  trials.id.push(row.id);
  trials.at_s.push(row.at_s);
  trials.rung.push(row.rung);
  let job = trials.jobs.findIndex((j) => j.id === row.job.id);
  if (job < 0) job = trials.jobs.push(row.job) - 1;
  trials.job.push(job);
  if (row.predicted && !trials.predicted) trials.predicted = new Array(at).fill(0);
  if (trials.predicted) trials.predicted.push(row.predicted ? 1 : 0);
  for (const key of Object.keys(row.values)) trials.values[key] ||= new Array(at).fill(null);
  for (const [key, list] of Object.entries(trials.values)) list.push(row.values[key] ?? null);
  for (const name of Object.keys(row.knobs)) trials.knobs[name] ||= { values: [], codes: new Array(at).fill(-1) };
  for (const [name, knob] of Object.entries(trials.knobs)) knob.codes.push(codeOf(knob, row.knobs[name]));
}
function codeOf(knob, value) {
  if (!known(value)) return -1;
  const same = JSON.stringify(value),
    at = knob.values.findIndex((v) => JSON.stringify(v) === same);
  return at < 0 ? knob.values.push(value) - 1 : at;
}
