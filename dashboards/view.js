"use strict";
// What the chart shows: its figures, candidates, dominated members, runs.
function selectOf(name, label, value, keys, change) {
  const box = el("select", { id: `choose-${name}`, onchange: (e) => change(e.target.value || null) });
  for (const [key, words] of keys) box.append(el("option", { value: key, selected: key === (value || "") }, words));
  return el("label", {}, label, box);
}
function checkOf(label, value, change) {
  return el(
    "label",
    { class: "check" },
    el("input", { type: "checkbox", checked: value, onchange: (e) => change(e.target.checked) }),
    label,
  );
}
let controlsShown = "";
// A candidate above the front need not be better than it: it was scored on other texts.
function splitHint() {
  const scored = [state.x, state.y].some((key) => key && figure(key) && hasSplits(key));
  if (!scored || !state.trials || !shownRuns().some((run) => run.summary.final)) return "";
  return " Candidates are scored on the search split, members on the held-out split: do not compare one with the other.";
}
function drawControls() {
  const items = [...shownMembers(), ...shownRuns().flatMap(landmarksOf)];
  const keys = FIGURES.filter((f) => items.some((m) => known(figureOf(m, f.key)))).map((f) => [f.key, f.label]);
  const now = JSON.stringify([state.x, state.y, state.c, state.trials, state.dominated, state.runs, keys]);
  const trials = shownRuns().reduce((sum, run) => sum + run.trials.count, 0);
  byId("front-hint").textContent =
    `${count(trials, "candidate")} measured. Hover for figures, click a member for its card, shift-click to compare; double-click to see everything.${splitHint()}`;
  chart.setAttribute(
    "aria-label",
    `Chart of ${figure(state.y).label} over ${figure(state.x).label}; the table of members has the same figures`,
  );
  if (now === controlsShown) return;
  controlsShown = now;
  const swap = el(
    "button",
    { type: "button", class: "small", onclick: () => setState({ x: state.y, y: state.x }) },
    "swap",
  );
  const link = el(
    "button",
    { type: "button", class: "small", onclick: () => copyText(location.href, link) },
    "Copy link",
  );
  link.title = page.live
    ? "The link holds this page's token: whoever has it, and reaches this machine, can use the page."
    : "This view: figures, limits, what is open.";
  clear(byId("controls")).append(
    selectOf("y", "up", state.y, keys, (y) => setState({ y })),
    selectOf("x", "across", state.x, keys, (x) => setState({ x })),
    swap,
    selectOf("c", "by colour", state.c, [["", "nothing"], ...keys], (c) => setState({ c })),
    checkOf("all candidates", state.trials, (on) => setState({ trials: on })),
    checkOf("dominated members", state.dominated, (on) => setState({ dominated: on })),
    link,
  );
  drawLegend();
}
function drawLegend() {
  clear(byId("legend"));
  if (runs.length < 2) return;
  for (const [i, run] of runs.entries()) {
    const on = state.runs.includes(run.key);
    const toggle = () =>
      setState({ runs: runs.map((r) => r.key).filter((key) => (key === run.key ? !on : state.runs.includes(key))) });
    byId("legend").append(
      el(
        "button",
        { type: "button", class: "small", "aria-pressed": String(on), onclick: toggle },
        el("span", { class: `mark run-${i % SHAPES.length}` }),
        run.name,
      ),
    );
  }
}
