"use strict";
// The head of the page, and at its end: data, machine, budget, trials that failed.
// Of a folder or file its own name: the whole path stands at the page's end.
const short = (place) =>
  String(place).startsWith("/") ? String(place).split("/").filter(Boolean).at(-1) : String(place);
function drawHead() {
  const members = shownMembers().length,
    tasks = [...new Set(runs.map((run) => short(run.summary.task)))];
  byId("title").textContent =
    `${tasks.join(", ")}: ${members === 1 ? "one model" : `${members} models`} to choose from`;
  byId("status").textContent =
    runs.length > 1
      ? `· ${runs.length} runs`
      : `· ${runs[0].summary.status}${runs[0].summary.reason ? ` (${runs[0].summary.reason})` : ""}`;
  byId("subtitle").textContent = runs.map(subtitle).join(" — ");
}
function subtitle(run) {
  const { summary, spec } = run,
    predicted = summary.members.some((m) => m.latency_predicted);
  const device = spec.device ? ` · ${predicted ? "latency predicted for" : "timed on"} ${short(spec.device)}` : "";
  return `${runs.length > 1 ? `${run.name}: ` : ""}${short(summary.model)} · ${metricOf(summary)} on the ${summary.final ? "held-out" : "search"} split${device}`;
}
// What is wrong with a study as a whole stands above its figures.
function drawWarnings() {
  const box = byId("warnings"),
    said = shownRuns().flatMap((run) =>
      (run.summary.warnings || []).map((text) => `${runs.length > 1 ? `${run.name}: ` : ""}${text}`),
    );
  if (!box) return; // a template of one's own may lack it
  box.hidden = !said.length;
  clear(box).append(el("b", {}, "Look at this first"), el("ul", {}, ...said.map((text) => el("li", {}, text))));
}
function drawHeadline() {
  const box = clear(byId("headline"));
  for (const run of shownRuns().slice(0, 4)) box.append(...tilesOf(run));
}
const bestBy = (list, key) => list.reduce((a, b) => (a && key(a) <= key(b) ? a : b), undefined);
function tilesOf(run) {
  const members = membersOf(run).filter(isWhole),
    teacher = run.summary.teacher;
  if (!teacher || !members.length) return [];
  const of = runs.length > 1 ? `${run.name}: ` : "",
    scoreOf = (m) => figureOf(m, "score");
  const close = members.filter((m) => scoreOf(m) >= scoreOf(teacher) - 0.01);
  const small = bestBy(close, (m) => m.bytes),
    fast = bestBy(close, (m) => m.latency_ms),
    top = [...members].sort(byScore)[0];
  const beat = members.filter((m) => m.dominates_plain_int8).length;
  return [
    small &&
      headTile(times(small.times_smaller), `${of}smaller, within a point of the teacher`, small, size(small.bytes)),
    fast &&
      headTile(timesFaster(fast), `${of}faster, within a point of the teacher`, fast, inMs(fast.latency_ms, fast)),
    headTile(
      fraction(scoreOf(top)),
      `${of}best ${metricOf(run.summary)}; the teacher has ${fraction(scoreOf(teacher))}`,
      top,
    ),
    run.summary.plain_int8 &&
      headTile(`${beat} of ${members.length}`, `${of}members dominate the teacher's plain int8 export`),
  ].filter(Boolean);
}
function headTile(value, words, item, more) {
  const link =
    item && el("button", { type: "button", class: "link", onclick: () => setState({ pick: item.ref }) }, item.id);
  return el(
    "div",
    { class: "tile" },
    el("b", {}, value),
    el(
      "span",
      {},
      words,
      ...(link ? [" ", el("span", { class: "whole" }, "(", link, more ? `, ${more}` : "", ")")] : []),
    ),
  );
}

const fact = (name, value) => (known(value) && value !== "" ? [el("dt", {}, name), el("dd", {}, String(value))] : []);
function drawAbout() {
  const box = clear(byId("about"));
  for (const run of shownRuns()) {
    if (runs.length > 1) box.append(el("h2", {}, run.name));
    box.append(el("div", { class: "two" }, aboutBudget(run), aboutData(run), aboutMachine(run), aboutFailures(run)));
  }
}
function aboutBudget(run) {
  const { given, spent, by_purpose: parts, text } = run.summary.budget,
    { jobs, complete, failed, retried } = run.summary.trials;
  const kind = ["wall_s", "cpu_s", "gpu_s"].find((k) => known(given[k])) || "wall_s";
  const total = Math.max(given[kind] || 0, spent[kind]) || 1;
  const slices = Object.entries(parts).map(([what, part], i) => {
    const slice = el("i", { class: `part-${i % 6}`, title: `${what}: ${duration(part[kind])}` });
    slice.style.width = `${(100 * part[kind]) / total}%`;
    return slice;
  });
  const list = Object.entries(parts).map(([what, part], i) => [
    el("dt", {}, el("span", { class: `dot part-${i % 6}` }), what),
    el("dd", {}, duration(part[kind])),
  ]);
  const spentWords = `${duration(spent[kind])} of ${text || "no limit"} spent${kind === "wall_s" ? "" : ` (${kind.slice(0, 3).toUpperCase()} time)`}`;
  return el(
    "section",
    {},
    el("h3", {}, "Budget"),
    el("p", {}, spentWords),
    el("div", { class: "bar", "aria-hidden": "true" }, ...slices),
    el(
      "dl",
      {},
      ...list.flat(),
      ...fact(
        "trials",
        `${count(jobs, "job")}, ${count(complete, "candidate")} measured, ${failed} failed${retried ? `, ${retried} started again` : ""}`,
      ),
    ),
  );
}
function aboutData(run) {
  const d = run.data,
    rows = ["train", "search", "held_out"].flatMap((name) =>
      fact(name.replace("_", "-"), known(d[name]) ? `${d[name].toLocaleString("en")} rows` : null),
    );
  return el(
    "section",
    {},
    el("h3", {}, "Data"),
    el(
      "dl",
      {},
      ...fact("task", d.name),
      ...fact("asked", d.kind && d.kind.replaceAll("_", " ")),
      ...fact("labels", (d.labels || []).join(", ")),
      ...rows,
      ...fact("fingerprint", d.fingerprint),
    ),
    (d.notes || []).length ? el("ul", {}, ...d.notes.map((note) => el("li", {}, note))) : null,
  );
}
function aboutMachine(run) {
  const m = run.machine,
    sets = m.instruction_sets,
    agreement = run.summary.agreement || {};
  const ranks = known(agreement.search_vs_held_out) ? three(agreement.search_vs_held_out) : null;
  return el(
    "section",
    {},
    el("h3", {}, "How it was measured"),
    el(
      "dl",
      {},
      ...fact("run", run.path),
      ...fact("model", run.summary.model),
      ...fact("processor", [m.cpu, m.cores && `${m.cores} cores`].filter(Boolean).join(", ")),
      ...fact("instruction sets", Array.isArray(sets) ? sets.join(", ") : sets),
      ...fact("hypervolume", known(run.summary.hypervolume) ? three(run.summary.hypervolume) : null),
      ...fact("ranks, search against held-out", ranks),
      ...Object.entries(run.versions).flatMap(([name, version]) => fact(name, version)),
    ),
  );
}
function aboutFailures(run) {
  const again = (run.retried || []).map((r) => `${r.job}, attempt ${r.attempt}, started again: ${r.error}`);
  const texts = [...run.failures.map((f) => `${f.id}: ${f.error}`), ...again];
  return el(
    "section",
    {},
    el("h3", {}, "Trials that failed"),
    texts.length ? el("ul", {}, ...texts.slice(0, 20).map((text) => el("li", {}, text))) : el("p", {}, "None."),
    texts.length > 20 ? el("p", {}, `… and ${texts.length - 20} more in the journal.`) : null,
  );
}
