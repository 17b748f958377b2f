"use strict";
// What happens now: jobs, time left, nodes, budget; and what to type when a run stopped.
const KIND_WORDS = {
  post_training: "post-training",
  recovery: "recovery",
  teacher: "the teacher",
  front: "the final front",
  sweep: "sweep",
};
const nowDrawn = { key: "" };

function drawNow() {
  const box = byId("now");
  if (!box) return;
  const shown = page.runs.filter((run) => !state.runs || !state.runs.length || state.runs.includes(run.key));
  const key = JSON.stringify(
    shown.map((run) => [run.key, run.now, run.nodes, run.summary.status, run.summary.budget, run.seconds]),
  );
  if (key === nowDrawn.key) return;
  nowDrawn.key = key;
  const hadFocus = box.contains(document.activeElement);
  clear(box);
  box.append(el("h2", {}, "Now"), ...shown.map(nowOf));
  if (hadFocus && box.querySelector("button")) box.querySelector("button").focus();
}
function nowOf(run) {
  const { status } = run.summary,
    box = el("div", { class: "run-now", "data-status": status });
  if (page.runs.length > 1) box.append(el("h3", {}, run.name));
  box.append(el("p", { class: "standing" }, statusMark(status), " ", statusWords(run)));
  if (status === "interrupted") box.append(commandLine(`autocomp resume ${quoted(run.path || run.name)}`));
  if (status !== "finished") box.append(budgetBar(run));
  if (status !== "finished" && (run.now || []).length)
    box.append(el("ul", { class: "jobs" }, ...run.now.map((job) => jobItem(job, status === "running"))));
  if (status === "running" && (run.nodes || []).length) box.append(nodesLine(run.nodes));
  return box;
}
const STATUS_MARKS = { running: "▶", finished: "✓", interrupted: "■" };
const statusMark = (status) =>
  el("b", {}, `${STATUS_MARKS[status] || ""} ${status[0].toUpperCase()}${status.slice(1)}`);

function statusWords(run) {
  const { summary } = run,
    { trials } = summary,
    done = `${count(trials.complete, "candidate")} of ${count(trials.jobs, "job")}${trials.failed ? `, ${whole(trials.failed)} failed` : ""}`;
  const after = known(run.seconds) ? ` after ${duration(run.seconds)}` : "";
  if (summary.status === "finished") return `${after}${summary.reason ? `: ${summary.reason}` : ""}. ${done}.`;
  if (summary.status === "interrupted")
    return `${after}: no process works on it. ${done}; all of it is kept. This goes on with it:`;
  return `for ${known(run.seconds) ? duration(run.seconds) : "a moment"}. ${done}.${isLive ? "" : " So it was when this page was written."}`;
}
function budgetBar(run) {
  const { given, spent, text } = run.summary.budget,
    bars = el("div", { class: "budgets" });
  for (const kind of ["wall_s", "cpu_s", "gpu_s", "trials"])
    if (known(given[kind])) bars.append(oneBudget(kind, spent[kind] || 0, given[kind]));
  if (!bars.children.length)
    bars.append(
      el("p", { class: "hint" }, `No limit of time${text ? ` (${text})` : ""}; ${duration(spent.wall_s || 0)} spent.`),
    );
  return bars;
}
const BUDGET_WORDS = { wall_s: "time", cpu_s: "CPU time", gpu_s: "GPU time", trials: "trials" };
function oneBudget(kind, spent, given) {
  const show = kind === "trials" ? whole : duration,
    share = given ? spent / given : 1;
  return el(
    "div",
    { class: "job" },
    el("span", {}, `budget, ${BUDGET_WORDS[kind]}`),
    progressBar(share, `Budget: ${percent(share)} spent`),
    el("span", { class: "hint" }, `${show(spent)} of ${show(given)} spent`),
  );
}
function progressBar(share, name) {
  const bar = el("i", {}),
    isKnown = known(share);
  bar.style.width = `${isKnown ? 100 * Math.min(1, Math.max(0, share)) : 100}%`;
  const box = el(
    "span",
    {
      class: `progress${isKnown ? "" : " unknown"}`,
      role: "progressbar",
      "aria-label": name,
      "aria-valuemin": "0",
      "aria-valuemax": "100",
    },
    bar,
  );
  if (isKnown) box.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  return box;
}
function jobItem(job, isRunning) {
  const kind = KIND_WORDS[job.kind] || String(job.kind || "").replaceAll("_", " "),
    own = job.job === job.kind ? "" : `${job.job} `;
  const facts = [
    job.text,
    known(job.fraction) ? percent(job.fraction) : null,
    isRunning && known(job.left_s) ? `about ${duration(job.left_s)} left` : null,
    isRunning && known(job.running_s) ? `running for ${duration(job.running_s)}` : null,
    job.attempt > 1 ? `attempt ${job.attempt}` : null,
    job.node && job.node !== "local" ? `on ${job.node}` : null,
  ];
  return el(
    "li",
    { class: "job" },
    el("span", {}, el("b", {}, `${own}${kind}`), job.describe ? ` ${job.describe}` : ""),
    progressBar(job.fraction, `${job.job}: ${kind}`),
    el("span", { class: "hint" }, facts.filter(Boolean).join(" · ")),
  );
}
function nodesLine(nodes) {
  const items = nodes.map((node) => {
    const used = node.used || {},
      has = node.resources || {};
    const cores = known(has.CPU) ? `${Number((used.CPU || 0).toFixed(1))} of ${Number(has.CPU.toFixed(1))} cores` : "",
      gpus = has.GPU ? `, ${used.GPU || 0} of ${has.GPU} GPUs` : "";
    return el(
      "li",
      node.alive === false ? { class: "lost" } : {},
      el("b", {}, node.host || node.node),
      ` ${node.alive === false ? "lost" : cores + gpus}`,
      (node.jobs || []).length ? `: ${node.jobs.join(", ")}` : "",
    );
  });
  return el("ul", { class: "nodes", "aria-label": "Nodes" }, ...items);
}

onState(() => drawNow());
onData(() => drawNow());
