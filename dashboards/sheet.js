"use strict";
// The parts of a card that are words and tables: headline figures, plan, size by part, exits, lineage.
const PART_WORDS = {
  embeddings: "embeddings",
  attention: "attention",
  feed_forward: "feed-forward",
  norms: "norms",
  head: "head",
  exits: "exits",
  tokenizer: "tokenizer",
  graph: "graph",
  manifest: "manifest",
};

const compared = (x, more, less) => (x >= 0.995 ? `${times(x)} ${more}` : `${times(1 / x)} ${less}`);
function against(mine, theirs, key, more, less, name) {
  if (!theirs || !known(mine[key]) || !known(theirs[key]) || mine.id === theirs.id || !mine[key]) return null;
  return el("li", {}, `${compared(theirs[key] / mine[key], more, less)} than ${name}`);
}
const MARK_WORDS = [
  ["teacher", "the teacher"],
  ["plain_int8", "plain int8"],
];

// Scores of two splits are never compared: landmarks show the one that the model has.
const onItsSplit = (mark, m) => mark && (known(m.score) ? mark : { ...mark, score: null, score_se: null });

function figureBox(name, value, mark, ...facts) {
  return el(
    "div",
    { class: "figure" },
    el("p", { class: "figure-name" }, name, " ", mark || ""),
    el("p", { class: "figure-value" }, value),
    el("ul", {}, ...facts.filter(Boolean)),
  );
}
function figureBoxes(found, answers) {
  const { member: m, run } = found,
    s = run.summary;
  const others = (key, more, less) => MARK_WORDS.map(([id, name]) => against(m, s[id], key, more, less, name));
  const shown = [];
  if (known(m.bytes))
    shown.push(figureBox("Size", size(m.bytes), sourceMark(false), ...others("bytes", "smaller", "larger")));
  if (known(m.latency_ms))
    shown.push(
      figureBox(
        "Latency",
        millis(m.latency_ms),
        sourceMark(m.latency_predicted, m.latency_disturbed),
        ...others("latency_ms", "faster", "slower"),
        m.latency_predicted && run.spec.device ? el("li", {}, `for ${run.spec.device}, which was not attached`) : null,
      ),
    );
  if (known(scoreOf_(m))) shown.push(scoreBox(m, s));
  const agreement = m.held_out_agreement ?? m.agreement;
  if (known(agreement) && m.id !== "teacher")
    shown.push(
      figureBox(
        "Agreement",
        `${(100 * agreement).toFixed(1)} %`,
        sourceMark(false),
        el("li", {}, AGREEMENT_WORDS[answers && answers.answer] || "of the texts get the teacher's answer"),
      ),
    );
  return el("div", { class: "figures" }, ...shown);
}
function scoreBox(m, s) {
  const span = interval(scoreOf_(m), scoreError(m)),
    facts = [];
  const [teacher, plain] = [s.teacher, s.plain_int8].map((mark) =>
    mark && mark.id !== m.id ? onItsSplit(mark, m) : null,
  );
  if (span) facts.push(`95 % interval ${spanText(span, fraction)}`);
  if (teacher && known(scoreOf_(teacher))) {
    const within = interval(m.score_difference, m.score_difference_se);
    const difference = m.score_difference ?? scoreOf_(m) - scoreOf_(teacher);
    facts.push(`${asPoints(difference)} points to the teacher${within ? ` (${spanText(within, asPoints)})` : ""}`);
  }
  if (plain && m.id !== "teacher" && known(scoreOf_(plain)))
    facts.push(`${asPoints(scoreOf_(m) - scoreOf_(plain))} points to plain int8`);
  const name = `${metricOf(s)}, ${known(m.score) ? "held-out" : "search split"}`;
  return figureBox(name, fraction(scoreOf_(m)), sourceMark(false), ...facts.map((fact) => el("li", {}, fact)));
}

function planPanel(card) {
  const said = (card.words || []).length
    ? el("ul", { class: "plan-words" }, ...card.words.map((text) => el("li", {}, text)))
    : missing(card.describe || "No plan: the model as it came.");
  const box = panel("The plan", "", said);
  if (card.plan_yaml)
    box.append(
      folded(
        "The plan as YAML",
        el(
          "div",
          { class: "command" },
          el("pre", {}, el("code", {}, card.plan_yaml)),
          copyButton(card.plan_yaml, "Copy YAML"),
        ),
      ),
    );
  return box;
}

function sizesPanel(card, found) {
  const { sizes } = card;
  if (!sizes || !(sizes.parts || []).length)
    return panel("Size by part", "", absent(found, "This run is of a version that kept no sizes of single parts."));
  const total = sizes.total || sizes.parts.reduce((sum, p) => sum + p.bytes, 0),
    parts = [...sizes.parts].filter((p) => p.bytes > 0).sort((a, b) => b.bytes - a.bytes);
  const bar = el("div", {
    class: "stack",
    role: "img",
    "aria-label": parts.map((p) => `${PART_WORDS[p.part] || p.part} ${percent(p.bytes / total)}`).join(", "),
  });
  for (const p of parts) bar.append(stackSlice(p, total));
  const rows = parts.map((p) => [
    el("span", {}, el("i", { class: `swatch part-${p.part}` }), PART_WORDS[p.part] || p.part),
    size_(p.bytes),
    percent(p.bytes / total, 1),
  ]);
  const sum = el(
    "p",
    { class: "facts" },
    el("span", {}, el("b", {}, size(total)), " in all"),
    known(sizes.gzip) ? el("span", {}, el("b", {}, size(sizes.gzip)), " compressed for the way") : "",
  );
  return panel("Size by part", "", sum, bar, plainTable("Bytes of each part", ["part", "size", "share"], rows));
}
const size_ = (bytes) => (bytes < 99500 ? `${(bytes / 1e3).toFixed(1)} kB` : size(bytes));
function stackSlice(p, total) {
  const slice = el(
    "span",
    {
      class: `part-${p.part}`,
      title: `${PART_WORDS[p.part] || p.part}: ${size_(p.bytes)}, ${percent(p.bytes / total, 1)}`,
    },
    p.bytes / total > 0.16 ? el("span", {}, PART_WORDS[p.part] || p.part) : "",
  );
  slice.style.width = `${(100 * p.bytes) / total}%`;
  return slice;
}

function exitsPanel(card) {
  const used = card.exits_used;
  if (!used || (used.depths || []).length < 2) return null;
  const rows = used.depths.map((depth, i) =>
    el(
      "li",
      {},
      el("span", {}, `after layer ${depth}`),
      meter(used.fractions[i], "member", `${percent(used.fractions[i], 1)} leave after layer ${depth}`),
      el("b", {}, percent(used.fractions[i], 1)),
    ),
  );
  return panel(
    "Where texts leave",
    "",
    el("p", { class: "hint" }, "A text that is surely answered does not pass the layers above."),
    el("ul", { class: "exits" }, ...rows),
  );
}

// What a stage took; where only its job is known, what that job held of the cores.
function stageCost(step) {
  if (known(step.seconds)) return step.seconds < 0.5 ? "under a second" : duration(step.seconds);
  return known(step.cpu_s) ? `${duration(step.cpu_s)} of one core, with its job` : null;
}
function lineagePanel(card, found) {
  if (!card.lineage || !card.lineage.length)
    return panel(
      "How it came about",
      "",
      absent(found, "This run is of a version that did not keep how this model came about."),
    );
  const items = card.lineage.map((step) =>
    el(
      "li",
      {},
      el("b", {}, String(step.kind || "").replaceAll("_", " ")),
      step.text ? ` ${step.text}` : "",
      el(
        "span",
        { class: "hint" },
        [stageCost(step), step.job, step.key ? String(step.key).slice(0, 12) : null].filter(Boolean).join(" · "),
      ),
    ),
  );
  const spent = card.lineage.reduce((sum, step) => sum + (step.seconds || 0), 0);
  return panel(
    "How it came about",
    "",
    el("ol", { class: "lineage" }, ...items),
    spent ? el("p", { class: "hint" }, `${duration(spent)} in all; what others share with it is in there too.`) : "",
  );
}

function figuresTable(found) {
  const { summary } = found.run,
    marks = [summary.teacher, summary.plain_int8].filter((m) => m && m.id !== found.member.id),
    columns = [found.member, ...marks.map((mark) => onItsSplit(mark, found.member))];
  const rows = FIGURES.filter((f) => columns.some((m) => known(figureOf(m, f.key)))).map((f) => [
    f.label,
    ...columns.map((m) => (known(figureOf(m, f.key)) ? f.show(figureOf(m, f.key), m) : "–")),
  ]);
  return folded(
    "All figures",
    plainTable(
      "All figures, beside the landmarks",
      ["", ...columns.map((m) => (m.id === "plain_int8" ? "plain int8" : m.id))],
      rows,
    ),
  );
}
function commandsPanel(card, className) {
  const shown = Object.entries(card.commands || {}).filter(([name, text]) => text && name !== "export");
  return shown.length
    ? panel(
        "On the command line",
        className,
        ...shown.map(([name, text]) => el("div", {}, el("p", { class: "hint" }, name), commandLine(text))),
      )
    : null;
}
