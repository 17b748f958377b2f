"use strict";
// What mattered: the knobs' shares in each objective, the parts that are drawn only when they come near the viewport.
const LEAST_ROWS = 20;
const LEAST_SHARE = 0.03;
const MOST_BARS = 6;
const AGAIN_MS = 700;
const TRAINED = "fidelity.rung";

// `linear_bits.bits` reads "linear bits", `depth.layers` reads "depth layers".
function knobName(name) {
  if (name === TRAINED) return "how long it was trained";
  const words = name.split(/[._]/);
  return words.filter((word, i) => word !== words[i - 1]).join(" ");
}
// A part that is drawn when it comes near the viewport, and again when it changed; with many changes, now and then.
function whenNear(node, draw) {
  const part = { near: false, stale: true, drawn: -AGAIN_MS, timer: 0 };
  const look = () => {
    clearTimeout(part.timer);
    if (!part.near || !part.stale) return;
    const wait = part.drawn + AGAIN_MS - performance.now();
    if (wait > 0) {
      part.timer = setTimeout(look, wait);
      return;
    }
    Object.assign(part, { stale: false, drawn: performance.now() });
    draw();
  };
  const watch = new IntersectionObserver(
    (seen) => {
      part.near = seen.at(-1).isIntersecting;
      look();
    },
    { rootMargin: "500px" },
  );
  watch.observe(node);
  addEventListener("beforeprint", () => {
    part.near = true;
    look();
  });
  return () => {
    part.stale = true;
    look();
  };
}

let knobParts = null;
function drawKnobs() {
  if (!knobParts) makeKnobs();
  knobParts.forEach((changed) => changed());
}
function makeKnobs() {
  const shares = el("div", { id: "importance" }),
    lines = el("div", { id: "parallel" }),
    foretold = el("div", { id: "proxies" });
  byId("knobs").append(
    el("h2", {}, "What mattered"),
    shares,
    el("h2", {}, "All knobs at once"),
    lines,
    el("h2", {}, "How well the search foretold the end"),
    foretold,
  );
  knobParts = [
    whenNear(shares, () => drawImportance(shares)),
    whenNear(lines, () => drawParallel(lines)),
    whenNear(foretold, () => drawProxies(foretold)),
  ];
}

// Of a report, what is in it; of a served run, what its server worked out when it was asked.
const asked = new Map(); // run key -> {value, rows, error, waiting}
const importanceOf = (run) => run.importance || (asked.get(run.key) || {}).value || null;
function askImportance(run) {
  const before = asked.get(run.key) || {};
  const rows = run.trials.count;
  asked.set(run.key, { ...before, error: null, waiting: true, rows });
  api(`${runPath(run)}/importance`)
    .then(
      (value) => asked.set(run.key, { value, rows }),
      (error) => asked.set(run.key, { ...before, rows, error: error.message }),
    )
    .finally(drawKnobs);
}
function drawImportance(box) {
  for (const run of shownRuns())
    if (isLive && !run.importance && !asked.has(run.key) && run.trials.count >= LEAST_ROWS) askImportance(run);
  const drawn = JSON.stringify([
    state.runs,
    shownRuns().map((run) => [
      asked.get(run.key),
      Boolean(run.importance),
      newRows(run),
      run.trials.count < LEAST_ROWS,
    ]),
  ]);
  if (box.dataset.drawn === drawn) return;
  box.dataset.drawn = drawn;
  clear(box).append(...shownRuns().flatMap(importanceParts));
}
// How many candidates came since it was worked out, once they are many; 0 before.
function newRows(run) {
  const { rows, waiting } = asked.get(run.key) || {};
  const fresh = known(rows) && !waiting ? run.trials.count - rows : 0;
  return fresh >= Math.max(LEAST_ROWS, rows / 5) ? fresh : 0;
}
function importanceParts(run) {
  const found = importanceOf(run),
    { waiting, error } = asked.get(run.key) || {};
  const head =
    runs.length > 1
      ? [el("h3", {}, el("span", { class: `mark run-${runs.indexOf(run) % SHAPES.length}` }), run.name)]
      : [];
  const told = error ? [el("p", { class: "problem", role: "alert" }, error)] : [];
  if (waiting)
    told.push(el("p", { class: "hint", role: "status" }, "Working out which knobs matter: this takes some seconds …"));
  else if (!found && !error) told.push(missing(whyNoImportance(run)));
  if (!waiting && isLive && (error || newRows(run))) told.push(askAgain(run, error));
  if (!found) return [...head, ...told];
  const panels = Object.entries(found.objectives).map(([key, one]) => sharesPanel(key, one));
  return [
    ...head,
    importanceHint(run, found),
    ...told,
    panels.length
      ? el("div", { class: "shares-grid" }, ...panels)
      : missing("No objective differs between the candidates."),
  ];
}
const importanceHint = (run, found) =>
  el(
    "p",
    { class: "hint" },
    `From ${found.rows < run.trials.count ? `${found.rows.toLocaleString("en")} of ` : ""}${count(run.trials.count, "candidate")}: a model learned each figure from the knobs; a share is how much worse it foretells students it has not seen once that knob is shuffled. Shares of an objective make 100 %.`,
  );
function askAgain(run, error) {
  const words = error ? "Try again" : `Work it out anew: ${count(newRows(run), "new candidate")}`;
  return el(
    "p",
    {},
    el(
      "button",
      {
        type: "button",
        class: "small",
        onclick: () => {
          askImportance(run);
          drawKnobs();
        },
      },
      words,
    ),
  );
}
function whyNoImportance(run) {
  const { count: rows, knobs } = run.trials;
  if (rows < LEAST_ROWS)
    return `Too few candidates yet to say which knobs matter: ${LEAST_ROWS} are needed, ${rows === 1 ? "1 is" : `${rows} are`} there.`;
  if (!Object.values(knobs).some((knob) => knob.values.length > 1))
    return "No knob of this run has more than one value: none can matter.";
  return `Too few different candidates yet to say which knobs matter: ${LEAST_ROWS} that differ in their knobs are needed.`;
}

// The largest first; what is small, and what comes after the sixth, together.
function splitShares(knobs) {
  const sorted = Object.entries(knobs).sort((a, b) => b[1] - a[1]);
  const large = sorted.filter(([, share], i) => share >= LEAST_SHARE && i < MOST_BARS),
    small = sorted.slice(large.length);
  return small.length === 1 ? { large: sorted, small: [] } : { large, small };
}
function explainedWords(key, explained) {
  const what = figure(key) ? figure(key).label : key;
  if (!known(explained)) return { sure: false, words: `How much the knobs explain of ${what} is not known.` };
  const part = percent(explained);
  if (explained < 0.05)
    return {
      sure: false,
      words: `The knobs explain next to nothing of how ${what} differs between candidates. Do not read anything into these bars.`,
    };
  if (explained < 0.5)
    return {
      sure: false,
      words: `The knobs explain only ${part} of how ${what} differs between candidates: take the bars as a hint.`,
    };
  return {
    sure: true,
    words: `The knobs explain ${part} of how ${what} differs between candidates; the rest is training, chance, and knobs that moved together.`,
  };
}
function sharesPanel(key, { knobs, explained }) {
  const { large, small } = splitShares(knobs),
    { sure, words } = explainedWords(key, explained);
  const most = Math.max(...Object.values(knobs), 0.01);
  const bar = ([name, share]) => shareRow(knobName(name), share, most, name);
  const rest = small.reduce((sum, [, share]) => sum + share, 0);
  const others = small.length
    ? [folded(`${small.length} others, together ${shareText(rest)}`, el("ul", { class: "shares" }, ...small.map(bar)))]
    : [];
  const title = figure(key) ? figure(key).label : key;
  return panel(
    title[0].toUpperCase() + title.slice(1),
    `shares-panel ${sure ? "" : "unsure"}`,
    el("p", { class: "explained" }, words),
    el("ul", { class: "shares" }, ...large.map(bar)),
    ...others,
  );
}
const shareText = (share) => (share > 0 && share < 0.005 ? "< 1 %" : percent(share));
function shareRow(name, share, most, raw) {
  const bar = el("i", {});
  bar.style.width = `${(100 * share) / most}%`;
  return el(
    "li",
    { title: raw },
    el("span", {}, name),
    el("span", { class: "share-bar", "aria-hidden": "true" }, bar),
    el("b", {}, shareText(share)),
  );
}
