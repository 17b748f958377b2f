"use strict";
// Every text of the run reaches the page through textContent, or escaped where plotly reads markup.
const run = JSON.parse(document.getElementById("run-data").textContent).runs[0];
const { summary } = run;
const trials = run.trials.id.map((id, i) => {
  const figures = Object.fromEntries(Object.entries(run.trials.values).map(([key, column]) => [key, column[i]]));
  const job = run.trials.jobs[run.trials.job[i]];
  const knobs = Object.entries(run.trials.knobs).filter(([, k]) => k.codes[i] >= 0).map(([name, k]) => `${name}=${k.values[k.codes[i]]}`);
  return { ...figures, id, kind: job.kind, describe: job.describe, plan: knobs.join(" · "), latency_predicted: Boolean(run.trials.predicted?.[i]) };
});
const metric = summary.metric;
const split = summary.final ? "held-out" : "search";
const predicted = summary.members.some((m) => m.latency_predicted);
const byId = (id) => document.getElementById(id);

function add(parent, tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}
const known = (value) => value !== null && value !== undefined;
const three = (value) => (value >= 99.95 ? value.toFixed(0) : value.toPrecision(3));
const size = (b) => (!known(b) ? "–" : b < 999500 ? `${(b / 1e3).toFixed(0)} kB` : `${three(b / 1e6)} MB`);
const millis = (ms, predicted) => (known(ms) ? (predicted ? `~${three(ms)} ms predicted` : `${three(ms)} ms`) : "–");
const times = (x) => (known(x) ? `×${three(x)}` : "–");
// Of a device on which nothing ran: every figure that follows from its latency says so.
const latency = (m) => millis(m.latency_ms, m.latency_predicted);
const faster = (m) => (m.latency_predicted && known(m.times_faster) ? "~" : "") + times(m.times_faster);
const fraction = (x) => (known(x) ? x.toFixed(4) : "–");
const scoreOf = (m) => (known(m.score) ? m.score : m.search_score);
const agreement = (m) => (known(m.held_out_agreement) ? m.held_out_agreement : m.agreement);
const scoreText = (m) => fraction(scoreOf(m)) + (known(m.score_se) ? ` ± ${m.score_se.toFixed(4)}` : "");
const points = (m) => {
  if (!known(m.score_difference)) return "–";
  const tenths = Math.round(1000 * m.score_difference);
  const sign = tenths > 0 ? "+" : tenths < 0 ? "−" : "";
  const error = known(m.score_difference_se) ? ` ± ${(100 * m.score_difference_se).toFixed(1)}` : "";
  return `${sign}${(Math.abs(tenths) / 10).toFixed(1)}${error}`;
};
const duration = (s) => {
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};

function heading() {
  byId("title").textContent = `${summary.task}: ${summary.members.length} models to choose from`;
  byId("status").textContent = `· ${summary.status}${summary.reason ? ` (${summary.reason})` : ""}`;
  const device = run.spec.device ? ` · ${predicted ? "latency predicted for" : "timed on"} ${run.spec.device}` : "";
  byId("subtitle").textContent = `${summary.model} · ${metric} on the ${split} split${device}`;
  if (!summary.final)
    byId("front-hint").textContent = "Not final: scores are of the search split, and members have not been measured again. ";
  byId("front-hint").append(
    `Up and to the left is better. Grey: all ${trials.length} measured candidates (search split). Click a point to find its row; double-click to see every candidate.`);
}

function headline() {
  const teacher = summary.teacher;
  if (!teacher || !summary.members.length) return;
  const close = summary.members.filter((m) => scoreOf(m) >= scoreOf(teacher) - 0.01);
  const smallest = best(close, (m) => m.bytes), fastest = best(close, (m) => m.latency_ms);
  const top = best(summary.members, (m) => -scoreOf(m));
  const beat = summary.members.filter((m) => m.dominates_plain_int8).length;
  card(smallest && times(smallest.times_smaller), `smaller, within a point of the teacher (${smallest && smallest.id}, ${size(smallest && smallest.bytes)})`, smallest);
  card(fastest && faster(fastest), `faster, within a point of the teacher (${fastest && fastest.id}, ${fastest && latency(fastest)})`, fastest);
  card(fraction(scoreOf(top)), `best ${metric} (${top.id}); the teacher has ${fraction(scoreOf(teacher))}`, top);
  card(`${beat} of ${summary.members.length}`, "members dominate the teacher's plain int8 export", summary.plain_int8);
}
const best = (list, key) => list.reduce((a, b) => (a && key(a) <= key(b) ? a : b), undefined);
function card(value, words, shown) {
  if (!shown) return;
  const box = add(byId("headline"), "div", null, "card");
  add(box, "b", value);
  add(box, "span", words);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const safe = (text) => String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
function wrapped(text, width = 60) {
  const lines = [""];
  for (const word of String(text ?? "").split(" ")) {
    if ((lines.at(-1) + word).length > width && lines.at(-1)) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  return lines.map((line) => safe(line.trim())).join("<br>");
}
function hover(m, name) {
  const facts = [`${size(m.bytes)} (${times(m.times_smaller)})`, `${latency(m)} (${faster(m)})`];
  return `<b>${safe(name)}</b><br>${wrapped(m.describe)}<br>${facts.join(" · ")}<br>${safe(metric)} ${scoreText(m)}`;
}
function trace(key, list, name, marker, extra = {}) {
  const shown = list.filter((m) => known(m[key]) && known(scoreOf(m)));
  return {
    x: shown.map((m) => (key === "bytes" ? m[key] / 1e6 : m[key])), y: shown.map(scoreOf), name, type: "scatter", mode: "markers",
    text: shown.map((m) => hover(m, m.label || m.id)), customdata: shown.map((m) => m.id), hovertemplate: "%{text}<extra></extra>",
    marker, ...extra,
  };
}
function staircase(key) {
  // The line joins only members that no other beats in this chart's two numbers.
  const sorted = [...summary.members].filter((m) => known(m[key]) && known(scoreOf(m))).sort((a, b) => a[key] - b[key] || scoreOf(b) - scoreOf(a));
  let top = -Infinity;
  const kept = sorted.filter((m) => scoreOf(m) > top && ((top = scoreOf(m)), true));
  return { x: kept.map((m) => (key === "bytes" ? m[key] / 1e6 : m[key])), y: kept.map(scoreOf), mode: "lines", hoverinfo: "skip",
    showlegend: false, line: { shape: "hv", color: colour("member"), width: 1.5 }, opacity: 0.6 };
}
function chart(id, key, title) {
  const faint = trials.map((t) => ({ ...t, search_score: t.score, score: null, score_se: null, describe: `${t.describe} · ${t.plan}` }));
  const bars = { type: "data", array: summary.members.filter((m) => known(m[key]) && known(scoreOf(m))).map((m) => m.score_se || 0), thickness: 1, width: 0, color: colour("member") };
  const landmark = (m, name, symbol, tone) =>
    m ? [trace(key, [{ ...m, label: name }], name, { size: 13, symbol, color: colour(tone), line: { width: 1, color: colour("card") } })] : [];
  const traces = [
    trace(key, faint, "candidates", { size: 5, color: colour("trial"), opacity: 0.4 }),
    staircase(key),
    trace(key, summary.members, "members", { size: 10, color: colour("member"), line: { width: 1, color: colour("card") } }, { error_y: bars }),
    ...landmark(summary.plain_int8, "plain int8", "square", "plain"),
    ...landmark(summary.teacher, "teacher", "diamond", "teacher"),
  ];
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
    margin: { l: 55, r: 42, t: 44, b: 62 }, modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: colour("trial"), activecolor: colour("ink") }, hovermode: "closest", hoverlabel: { align: "left", bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" },
    xaxis: { ...axis, type: "log", title: { text: title, standoff: 8 }, dtick: "D2", tickformat: "~g" },
    yaxis: { ...axis, title: { text: safe(`${metric} (${split})`) }, range: window_() },
  };
  // Plotly 4 offers to upload the chart to its makers' server: this page sends nothing anywhere.
  const removed = ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d", "autoScale2d"];
  Plotly.react(id, traces, layout, { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtonsToRemove: removed });
}
function window_() {
  // Hopeless candidates must not squeeze the front into a line: double-click shows everything.
  const values = [...summary.members, summary.teacher, summary.plain_int8].filter(Boolean).map((m) => [scoreOf(m), m.score_se || 0]).filter(([v]) => known(v));
  if (!values.length) return undefined;
  const low = Math.min(...values.map(([v, e]) => v - e)), high = Math.max(...values.map(([v, e]) => v + e));
  const air = Math.max(0.08 * (high - low), 0.004);
  return [low - air, high + air];
}
function charts() {
  chart("chart-bytes", "bytes", "size, MB (log scale)");
  chart("chart-latency", "latency_ms", `mean latency at batch 1, ms${predicted ? ", predicted where ~ says so" : ""} (log scale)`);
}

const COLUMNS = [
  ["", (m) => m.label || m.id, (m) => m.label || m.id, "words"],
  ["size", (m) => m.bytes, (m) => size(m.bytes)],
  ["smaller", (m) => m.times_smaller, (m) => times(m.times_smaller)],
  ["latency", (m) => m.latency_ms, latency],
  ["p95", (m) => m.latency_p95_ms, (m) => millis(m.latency_p95_ms, m.latency_predicted)],
  ["faster", (m) => m.times_faster, faster],
  [metric, scoreOf, scoreText],
  ["points to teacher", (m) => m.score_difference, points],
  ["agreement", agreement, (m) => fraction(agreement(m))],
  ["loads in", (m) => m.load_ms, (m) => millis(m.load_ms)],
  ["memory", (m) => m.resident_mb, (m) => (m.resident_mb == null ? "–" : `${m.resident_mb.toFixed(0)} MB`)],
  ["parameters", (m) => m.parameters, (m) => (m.parameters == null ? "–" : m.parameters.toLocaleString("en"))],
  ["survey's size", (m) => m.survey_size_pct, (m) => (m.survey_size_pct == null ? "–" : `${m.survey_size_pct.toFixed(2)} %`)],
  ["plan", (m) => m.describe, (m) => m.describe, "words"],
];
let sorted = { column: 1, up: true };
function members() {
  const table = byId("members");
  table.replaceChildren();
  const head = add(add(table, "thead"), "tr");
  COLUMNS.forEach(([name, , , kind], i) => {
    const cell = add(head, "th", null, kind);
    const button = add(cell, "button", name || "model");
    button.type = "button";
    if (i === sorted.column) cell.ariaSort = sorted.up ? "ascending" : "descending";
    button.onclick = () => { sorted = { column: i, up: sorted.column === i ? !sorted.up : true }; members(); };
  });
  const marks = [["teacher", summary.teacher], ["plain int8", summary.plain_int8]].filter(([, m]) => m).map(([label, m]) => ({ ...m, label, landmark: true }));
  const key = COLUMNS[sorted.column][1], sign = sorted.up ? 1 : -1;
  const order = (a, b) => { const x = key(a), y = key(b); return !known(x) ? 1 : !known(y) ? -1 : sign * (x < y ? -1 : x > y ? 1 : 0); };
  const body = add(table, "tbody");
  for (const m of [...summary.members, ...marks].sort(order)) {
    const row = add(body, "tr", null, m.landmark ? "landmark" : "");
    row.dataset.id = m.id;
    COLUMNS.forEach(([, , show, kind], i) => {
      const cell = add(row, "td", show(m), kind);
      if (i === 0 && m.dominates_plain_int8) add(cell, "span", " ●", "mark").title = "dominates plain int8";
      if (i === 0) cell.style.minWidth = "0", cell.style.whiteSpace = "nowrap";
    });
  }
}
function choose(id) {
  for (const row of document.querySelectorAll("#members tbody tr")) {
    row.classList.toggle("chosen", row.dataset.id === id);
    if (row.dataset.id === id) row.scrollIntoView({ behavior: "smooth", block: "center" });
  }
}

function budget() {
  const { given, spent, by_purpose: parts, text } = summary.budget;
  const kind = ["wall_s", "cpu_s", "gpu_s"].find((k) => known(given[k])) || "wall_s";
  const total = Math.max(given[kind] || 0, spent[kind]) || 1;
  const box = byId("budget");
  add(box, "p", `${duration(spent[kind])} of ${text || "no limit"} spent${kind === "wall_s" ? "" : ` (${kind.slice(0, 3).toUpperCase()} time)`}`);
  const bar = add(box, "div", null, "bar");
  const tones = ["teacher", "member", "plain", "trial", "ink", "soft"];
  Object.values(parts).forEach((part, i) => {
    const slice = add(bar, "i");
    slice.style.width = `${(100 * part[kind]) / total}%`;
    slice.style.background = `var(--${tones[i % tones.length]})`;
  });
  const list = add(box, "dl");
  Object.entries(parts).forEach(([what, part], i) => {
    fact(list, what, duration(part[kind]));
    list.lastChild.previousSibling.style.boxShadow = `inset 3px 0 var(--${tones[i % tones.length]})`;
  });
  const { jobs, complete, failed, retried } = summary.trials;
  const again = retried ? `, ${retried} started again` : "";
  fact(list, "trials", `${jobs} jobs, ${complete} candidates measured, ${failed} failed${again}`);
}
function fact(list, name, value) {
  if (!known(value) || value === "") return;
  add(list, "dt", name);
  add(list, "dd", value);
}
function data() {
  const box = byId("data"), d = run.data, list = add(box, "dl");
  fact(list, "task", d.name);
  fact(list, "labels", (d.labels || []).join(", "));
  for (const name of ["train", "search", "held_out"]) if (known(d[name])) fact(list, name.replace("_", "-"), `${d[name].toLocaleString("en")} rows`);
  fact(list, "fingerprint", d.fingerprint);
  if ((d.notes || []).length) { const notes = add(box, "ul"); d.notes.forEach((note) => add(notes, "li", note)); }
}
function how() {
  const list = add(byId("how"), "dl"), m = run.machine;
  fact(list, "processor", [m.cpu, m.cores && `${m.cores} cores`].filter(Boolean).join(", "));
  const sets = m.instruction_sets;
  fact(list, "instruction sets", Array.isArray(sets) ? sets.join(", ") : sets);
  fact(list, "hypervolume", known(summary.hypervolume) ? three(summary.hypervolume) : null);
  if (summary.agreement && typeof summary.agreement === "object")
    for (const [name, value] of Object.entries(summary.agreement)) fact(list, name.replaceAll("_", " "), typeof value === "number" ? (Number.isInteger(value) ? value : three(value)) : value);
  for (const [name, value] of Object.entries(run.versions)) fact(list, name, String(value));
}
function failures() {
  const box = byId("failures");
  const again = run.retried.map((r) => `${r.job}, attempt ${r.attempt}, started again: ${r.error}`);
  const texts = [...run.failures.map((f) => `${f.id}: ${f.error}`), ...again];
  if (!texts.length) { add(box, "p", "None."); return; }
  const list = add(box, "ul");
  texts.slice(0, 20).forEach((text) => add(list, "li", text));
  if (texts.length > 20) add(box, "p", `… and ${texts.length - 20} more in the journal.`);
}

heading(); headline(); charts(); members(); budget(); data(); how(); failures();
for (const id of ["chart-bytes", "chart-latency"]) byId(id).on("plotly_click", (e) => choose(e.points[0].customdata));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", charts);
