"use strict";
// How it went: hypervolume and budget over time, when the present members were found, and in a sentence what time brought.
const progressView = { records: false, box: null };
const PROGRESS_HEIGHT = 236;
const GROUP_PX = 12;
const VOLUME_HINT =
  "How much of the space of objectives the front covers, on the search split. Marks: when present members were found.";
const UNIT_WORDS = { wall_s: "time", cpu_s: "CPU time", gpu_s: "GPU time", trials: "trials" };
const DASHES = [null, "7 4", "2 3", "9 3 2 3", "4 2", "12 4"];
const runTag = (run) => runs.indexOf(run) % SHAPES.length;

function drawProgress() {
  if (!progressView.box) makeProgress();
  progressView.changed();
}
function makeProgress() {
  const box = el("div", { id: "progress-parts" });
  byId("progress").append(el("h2", {}, "How it went"), box);
  progressView.box = box;
  progressView.changed = whenNear(box, fillProgress);
}
const hasSteps = (run) => Boolean(run.progress) && run.progress.at_s.length > 1;
const volumesOf = (run) => run.progress.hypervolume.filter(known);
const hasVolume = (run) => hasSteps(run) && volumesOf(run).length > 1 && volumesOf(run).at(-1) > 0;
function fillProgress() {
  const list = shownRuns().filter(hasSteps),
    { box } = progressView;
  const drawn = JSON.stringify([
    state.runs,
    state.pick,
    progressView.records,
    list.map(({ progress: p, summary }) => [
      p.at_s.at(-1),
      p.records.at(-1),
      p.spent.at(-1),
      p.hypervolume.at(-1),
      summary.members.length,
      summary.final,
    ]),
  ]);
  if (box.dataset.drawn === drawn) return;
  box.dataset.drawn = drawn;
  const held = document.activeElement && document.activeElement.id === "show-records",
    open = box.querySelector("details[open]");
  clear(box).append(...shownRuns().map(progressSentence));
  if (list.length)
    box.append(el("div", { class: "progress-grid" }, ...progressPanels(list)), ...foundTables(list, Boolean(open)));
  if (list.length > 1) box.append(runLegend(list));
  if (held && byId("show-records")) byId("show-records").focus();
}
function progressPanels(list) {
  const shown = list.filter(hasVolume);
  const toggle = el(
    "label",
    { class: "check" },
    el("input", {
      type: "checkbox",
      id: "show-records",
      checked: progressView.records,
      onchange: (e) => showRecords(e.target.checked),
    }),
    "candidates measured, on a second scale",
  );
  const volume = shown.length
    ? [fitted((width) => volumePicture(shown, width), "volume"), toggle]
    : [missing("No hypervolume yet: it grows from the first candidate that is judged.")];
  return [
    panel(
      "Hypervolume",
      "progress-panel",
      el(
        "p",
        { class: "hint" },
        VOLUME_HINT +
          (list.length > 1 ? " Runs compare only where their objectives and their teacher are the same." : ""),
      ),
      ...volume,
    ),
    panel(
      "Budget",
      "progress-panel",
      el("p", { class: "hint" }, budgetHint(list)),
      fitted((width) => budgetPicture(list, width), "budget"),
    ),
  ];
}
function showRecords(on) {
  progressView.records = on;
  fillProgress();
}
function budgetHint(list) {
  const units = [...new Set(list.map((run) => UNIT_WORDS[run.progress.unit] || run.progress.unit))];
  return `${listed(units)[0].toUpperCase()}${listed(units).slice(1)} spent; the thin broken line is what was given.`;
}
const runLegend = (list) =>
  el(
    "ul",
    { class: "legend" },
    ...list.map((run) => el("li", {}, el("span", { class: `mark run-${runTag(run)}` }), run.name)),
  );

// The index of the last step at or before a value of a rising list.
function stepBefore(list, value) {
  let at = -1;
  for (let i = 0; i < list.length && list[i] <= value; i++) at = i;
  return at;
}
// Candidates tell their time to a tenth of a second, steps tell more.
const stepNear = (run, at_s) => stepBefore(run.progress.at_s, at_s + 0.06);
function progressSentence(run) {
  const name = runs.length > 1 ? [el("b", {}, `${run.name}: `)] : [];
  if (!hasSteps(run)) return el("p", {}, ...name, "The run only began: there is nothing to draw yet.");
  if (!hasVolume(run))
    return el(
      "p",
      {},
      ...name,
      `${count(run.progress.records.at(-1), "candidate")} measured in ${duration(run.progress.at_s.at(-1))}; the hypervolume is not known yet.`,
    );
  return el("p", { class: "progress-words" }, ...name, progressWords(run));
}
function progressWords(run) {
  const { at_s, hypervolume, spent } = run.progress,
    volumes = hypervolume.map((v) => v || 0),
    end = volumes.at(-1);
  const half = at_s[volumes.findIndex((v) => v >= end / 2)],
    over = isOver(run);
  const whole = over ? "the final hypervolume" : "the hypervolume so far";
  const before = stepBefore(spent, spent.at(-1) * 0.9),
    added = (end - (before < 0 ? 0 : volumes[before])) / end;
  const tenth = over ? "the last tenth of the budget spent" : "the last tenth of what is spent so far";
  const last = foundAt(run).at(-1);
  return (
    `Half of ${whole} was there after ${duration(half)}; ${tenth} added ${added < 0.0005 ? "nothing" : added < 0.095 ? `${(100 * added).toFixed(1)} %` : percent(added)}.` +
    (last ? ` The last of the present members, ${last.member.id}, was found after ${duration(last.at_s)}.` : "")
  );
}

// Members in the order in which they were found; those whose candidate is not in the journal are left out.
const foundAt = (run) =>
  memberRows(run)
    .map((one) => ({ ...one, at_s: run.trials.at_s[one.row] }))
    .filter((one) => known(one.at_s))
    .sort((a, b) => a.at_s - b.at_s);
function foundTables(list, open) {
  const rows = list.flatMap(foundAt).map(({ at_s, ref, member, run }) => {
    const { progress } = run,
      at = stepNear(run, at_s),
      volume = progress.hypervolume[at];
    const name = el(
      "button",
      { type: "button", class: "link", onclick: () => setState({ pick: ref }) },
      nameOf({ ...member, run }),
    );
    return [
      name,
      duration(at_s),
      at < 0 ? "–" : progress.records[at].toLocaleString("en"),
      known(volume) ? three(volume) : "–",
      member.describe || "",
    ];
  });
  if (!rows.length) return [];
  const table = plainTable(
    "In the order in which they were found",
    ["member", "after", "candidates by then", "hypervolume by then", "what it is"],
    rows,
  );
  const box = folded("When each member was found", table);
  box.open = open;
  return [box];
}

// Seconds, minutes or hours, whichever the longest of them reads best in.
function timeUnit(longest) {
  if (longest < 180) return { per: 1, name: "s" };
  return longest < 3 * 3600 ? { per: 60, name: "min" } : { per: 3600, name: "h" };
}
function timeFrame(list, width, right) {
  const longest = Math.max(...list.map((run) => run.progress.at_s.at(-1)), 1),
    unit = timeUnit(longest),
    floor = PROGRESS_HEIGHT - 36;
  const x = linearScale(0, longest / unit.per, 48, width - right),
    ticks = linearTicks(0, longest / unit.per, width / 80);
  return {
    floor,
    unit,
    x: (s) => x(s / unit.per),
    right: width - right,
    axis: xAxis(ticks, x, floor, 22, `after, ${unit.name}`, width - right),
  };
}
// A line that keeps its height until the next step; gaps where nothing is known.
function stepLine(run, values, x, y) {
  const steps = values.map((value, i) =>
    known(value)
      ? `${i && known(values[i - 1]) ? "H" : "M"}${x(run.progress.at_s[i]).toFixed(1)}${i && known(values[i - 1]) ? "V" : " "}${y(value).toFixed(1)}`
      : "",
  );
  return steps.join("");
}
const runLine = (run, d, extra) =>
  svg("path", { d, class: `run-path run-line-${runTag(run)} ${extra || ""}`, "stroke-dasharray": DASHES[runTag(run)] });

function volumePicture(list, width) {
  const most = Math.max(...list.flatMap(volumesOf)),
    right = progressView.records ? 52 : 14,
    frame = timeFrame(list, width, right);
  const y = linearScale(0, most * 1.05, frame.floor, 22);
  const lines = list.map((run) => runLine(run, stepLine(run, run.progress.hypervolume, frame.x, y)));
  const words = list.map((run) => (runs.length > 1 ? `${run.name}: ` : "") + progressWords(run)).join(" ");
  return drawing(
    width,
    PROGRESS_HEIGHT,
    "Hypervolume over time",
    words,
    frame.axis,
    yAxis(linearTicks(0, most * 1.05, 4), y, 48, frame.right, "hypervolume"),
    ...(progressView.records ? recordLines(list, frame, width) : []),
    ...lines,
    ...list.flatMap((run) => foundMarks(run, frame, y)),
  );
}
function recordLines(list, frame, width) {
  const most = Math.max(...list.map((run) => run.progress.records.at(-1)), 1),
    y = linearScale(0, most * 1.05, frame.floor, 22);
  const ticks = linearTicks(0, most * 1.05, 4).filter(Number.isInteger);
  return [
    ...ticks.map((tick) =>
      svgText(frame.right + 5, y(tick) + 4, tick < 10000 ? String(tick) : `${tick / 1000}k`, "start", "tick"),
    ),
    svgText(width - 2, 11, "candidates", "end", "tick"),
    ...list.map((run) =>
      svg("path", { d: stepLine(run, run.progress.records, frame.x, y), class: `record-path run-line-${runTag(run)}` }),
    ),
  ];
}
// Members that came at almost the same time share a mark, which says how many they are.
function foundMarks(run, frame, y) {
  const groups = [];
  for (const one of foundAt(run)) {
    const x = frame.x(one.at_s),
      group = groups.at(-1);
    if (group && x - group.x < GROUP_PX) group.members.push(one);
    else groups.push({ x, members: [one] });
  }
  return groups.map((group) => foundMark(run, group, frame, y)).filter(known);
}
function foundMark(run, { members }, frame, y) {
  const { progress } = run,
    last = members.at(-1),
    volume = progress.hypervolume[stepNear(run, last.at_s)];
  if (!known(volume)) return null;
  const at = members.findIndex(({ ref }) => ref === state.pick),
    many = members.length > 1;
  const names = members
    .map(({ member, at_s }) => `${nameOf({ ...member, run })}, found after ${duration(at_s)}`)
    .join("\n");
  const mark = svg(
    "g",
    {
      class: `found run-line-${runTag(run)}${at < 0 ? "" : " picked"}`,
      transform: `translate(${frame.x(last.at_s)} ${y(volume)})`,
    },
    svg("circle", { r: many ? 7.5 : 4.2 }),
    many ? svgText(0, 3.5, String(members.length), "middle") : null,
    svg("title", {}, names),
  );
  mark.addEventListener("click", () => setState({ pick: members[(at + 1) % members.length].ref }));
  return mark;
}

// Runs may count different things: each line is drawn against its own budget where there are several kinds.
function budgetPicture(list, width) {
  const units = new Set(list.map((run) => run.progress.unit)),
    mixed = units.size > 1,
    frame = timeFrame(list, width, 14);
  const most = Math.max(...list.flatMap(({ progress: p }) => [p.given || 0, p.spent.at(-1)]), 1);
  const isTime = !mixed && ![...units].includes("trials"),
    unit = isTime ? timeUnit(most) : { per: 1, name: "" };
  const per = (run) => (mixed ? Math.max(run.progress.given || 0, run.progress.spent.at(-1)) / 100 : unit.per),
    top = mixed ? 100 : most / unit.per;
  const y = linearScale(0, top * 1.06, frame.floor, 22),
    name = mixed ? "% of each budget" : isTime ? `spent, ${unit.name}` : "trials";
  const lines = list.map((run) =>
    runLine(
      run,
      stepLine(
        run,
        run.progress.spent.map((v) => (known(v) ? v / per(run) : v)),
        frame.x,
        y,
      ),
    ),
  );
  const given = givenLines(list, (run) => y(run.progress.given / per(run)), frame);
  return drawing(
    width,
    PROGRESS_HEIGHT,
    "Budget spent over time",
    list.map(budgetWords).join(" "),
    frame.axis,
    yAxis(linearTicks(0, top * 1.06, 6), y, 48, frame.right, name),
    ...given,
    ...lines,
  );
}
const amount = (value, unit) => (unit === "trials" ? count(Math.round(value), "trial") : duration(value));
const budgetWords = (run) => {
  const { spent, unit, given } = run.progress;
  return `${runs.length > 1 ? `${run.name}: ` : ""}${amount(spent.at(-1), unit)} spent${known(given) ? ` of ${amount(given, unit)}` : ", without a limit"}.`;
};
// Runs that were given the same share a line; where lines are close, their words stand at the other end.
function givenLines(list, place, frame) {
  const lines = new Map();
  for (const run of list.filter((one) => known(one.progress.given))) {
    const words = amount(run.progress.given, run.progress.unit).replace(/ 0 (s|min)$/, "");
    lines.set(words, [...(lines.get(words) || []), run]);
  }
  return [...lines].map(([words, given], i) => {
    const at = place(given[0]),
      whose = lines.size > 1 ? ` to ${listed(given.map((run) => run.name))}` : "";
    const tone = given.length > 1 ? "shared" : `run-line-${runTag(given[0])}`,
      text = `given${whose}: ${words}`;
    return svg(
      "g",
      { class: `given ${tone}` },
      svg("line", { x1: 48, x2: frame.right, y1: at, y2: at }),
      svgText(i % 2 ? frame.right - 4 : 52, at + 14, text, i % 2 ? "end" : "start"),
    );
  });
}
