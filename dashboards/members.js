"use strict";
// The table of members and landmarks, and downloads of what is shown.
const FIRST_COLUMNS = [
  { key: "bytes" },
  { key: "times_smaller", label: "smaller", read: (m) => m.times_smaller, show: (m) => times(m.times_smaller) },
  { key: "latency_ms" },
  { key: "latency_p95_ms", label: "p95" },
  {
    key: "times_faster",
    label: "faster",
    read: (m) => m.times_faster,
    show: timesFaster,
  },
  {
    key: "score",
    show: (m) => shownFigure(m, "score") + (errorOf(m, "score") ? ` ± ${errorOf(m, "score").toFixed(4)}` : ""),
  },
  { key: "score_difference", label: "points to teacher", read: (m) => m.score_difference, show: points },
  { key: "agreement", label: "agreement" },
];
const COLUMNS = [
  ...FIRST_COLUMNS,
  ...FIGURES.filter((f) => !FIRST_COLUMNS.some((c) => c.key === f.key)).map(({ key }) => ({ key })),
].map((c) => ({
  label: c.label || figure(c.key).label,
  read: (m) => figureOf(m, c.key),
  show: (m) => shownFigure(m, c.key),
  ...c,
}));
const USUAL = [
  "bytes",
  "times_smaller",
  "latency_ms",
  "latency_p95_ms",
  "times_faster",
  "score",
  "score_difference",
  "agreement",
];
const sorting = { key: "bytes", up: true };
let columnsShown = USUAL;

function drawMembers() {
  const box = byId("members"),
    held = document.activeElement && box.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  if (!byId("member-table")) makeMembers(box);
  const rows = [...shownMembers(), ...shownRuns().flatMap(landmarksOf)];
  const chosen = COLUMNS.filter((c) => columnsShown.includes(c.key) && rows.some((m) => known(c.read(m))));
  clear(byId("member-table")).append(
    tableHead(chosen),
    el(
      "tbody",
      {},
      sortedRows(rows).map((m) => memberRow(m, chosen)),
    ),
  );
  if (held) box.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus();
}
function makeMembers(box) {
  const check = (c) =>
    el(
      "label",
      { class: "check" },
      el("input", {
        type: "checkbox",
        checked: columnsShown.includes(c.key),
        onchange: (e) => showColumn(c.key, e.target.checked),
      }),
      c.label,
    );
  const save = (name, make) => el("button", { type: "button", class: "small", onclick: () => make() }, name);
  box.append(
    el(
      "p",
      { class: "hint" },
      "Sort by a column. A name opens the member's card. ",
      el("span", { class: "good" }, "●"),
      " nowhere worse than plain int8 and somewhere better.",
    ),
    el("div", { class: "scroll" }, el("table", { id: "member-table" })),
    el(
      "div",
      { class: "buttons" },
      el("details", { class: "columns" }, el("summary", {}, "Columns"), ...COLUMNS.map(check)),
      save("Members as CSV", () => download("members.csv", "text/csv", csv(memberTable()))),
      save("Members as JSON", () => download("members.json", "application/json", json(memberTable()))),
      save("Candidates as CSV", () => download("candidates.csv", "text/csv", csv(trialTable()))),
      save("Candidates as JSON", () => download("candidates.json", "application/json", json(trialTable()))),
    ),
  );
}
function showColumn(key, on) {
  columnsShown = on ? [...columnsShown, key] : columnsShown.filter((k) => k !== key);
  drawMembers();
}
function sortedRows(rows) {
  const { read } = COLUMNS.find((c) => c.key === sorting.key) || { read: nameOf },
    sign = sorting.up ? 1 : -1;
  const order = (a, b) => (!known(a) ? (known(b) ? 1 : 0) : !known(b) ? -1 : a < b ? -sign : a > b ? sign : 0);
  return [...rows].sort((a, b) => order(read(a), read(b)));
}
function tableHead(chosen) {
  const head = ({ key, label }) => {
    const now = sorting.key === key,
      sort = () => {
        Object.assign(sorting, { key, up: now ? !sorting.up : true });
        drawMembers();
      };
    const kind = key === "name" ? "words" : null;
    return el(
      "th",
      { scope: "col", class: kind, "aria-sort": now ? (sorting.up ? "ascending" : "descending") : null },
      el("button", { type: "button", "data-focus": `sort-${key}`, onclick: sort }, label),
    );
  };
  return el(
    "thead",
    {},
    el(
      "tr",
      {},
      head({ key: "name", label: "member" }),
      ...chosen.map(head),
      el("th", { scope: "col" }, "compare"),
      el("th", { scope: "col", class: "words" }, "plan"),
    ),
  );
}
function memberRow(m, chosen) {
  const landmark = Boolean(m.label),
    fits = landmark || meetsLimits(m);
  const name = el(
    "button",
    { type: "button", class: "link", "data-focus": `open-${m.ref}`, onclick: () => setState({ pick: m.ref }) },
    nameOf(m),
  );
  const marks = [
    m.dominates_plain_int8 ? el("span", { class: "good", title: "dominates plain int8" }, " ●") : null,
    m.run.knee === m.id ? el("span", { class: "badge" }, "knee") : null,
  ];
  const compare = el("input", {
    type: "checkbox",
    checked: state.compare.includes(m.ref),
    "aria-label": `compare ${nameOf(m)}`,
    "data-focus": `compare-${m.ref}`,
    onchange: () => toggleCompared(m.ref),
  });
  const kind = [landmark ? "landmark" : "", state.pick === m.ref ? "chosen" : "", fits ? "" : "out"]
    .filter(Boolean)
    .join(" ");
  return el(
    "tr",
    { class: kind, "data-ref": m.ref, "aria-current": state.pick === m.ref ? "true" : null },
    el(
      "th",
      { scope: "row", class: "words" },
      runs.length > 1 ? el("span", { class: `mark run-${runs.indexOf(m.run) % SHAPES.length}` }) : null,
      name,
      ...marks,
    ),
    ...chosen.map((c) => el("td", {}, c.show(m))),
    el("td", {}, compare),
    el("td", { class: "words" }, m.describe || ""),
  );
}

// What is shown: members within the limits and landmarks, in the table's order, with all figures.
function memberTable() {
  const rows = sortedRows([...shownMembers().filter(meetsLimits), ...shownRuns().flatMap(landmarksOf)]);
  return rows.map((m) => ({
    run: m.run.name,
    member: m.id,
    ...Object.fromEntries(COLUMNS.map((c) => [c.key, c.read(m) ?? null])),
    score_se: errorOf(m, "score"),
    latency_predicted: Boolean(m.latency_predicted),
    split: m.run.summary.final ? "held_out" : "search",
    plan: m.describe || "",
  }));
}
function trialTable() {
  return shownRuns().flatMap((run) => {
    const out = outsideLimits(run),
      knobs = Object.keys(run.trials.knobs);
    return Array.from({ length: run.trials.count }, (_, row) => row)
      .filter((row) => !out || !out[row])
      .map((row) => {
        const { id, rung, at_s, kind, latency_predicted } = trialOf(run, row),
          values = run.trials.values;
        const figures = Object.fromEntries(Object.keys(values).map((key) => [key, values[key][row]]));
        return {
          run: run.name,
          candidate: id,
          kind,
          rung,
          at_s,
          ...figures,
          latency_predicted,
          ...Object.fromEntries(knobs.map((name) => [name, knobOf(run, name, row)])),
        };
      });
  });
}
// A spreadsheet takes a text that begins with one of these for a formula.
const RISKY = /^[=+\-@\t\r]/;
function cell(value) {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = known(value) ? String(value) : "",
    safeText = RISKY.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safeText) ? `"${safeText.replaceAll('"', '""')}"` : safeText;
}
function csv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  return (
    [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") +
    "\r\n"
  );
}
const json = (rows) => JSON.stringify(rows, null, 1);
function download(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
