"use strict";
// What a card shows of answers that are several labels, a number, or of a kind that nothing here knows.
const numberText = (value) => (known(value) ? String(Number(value.toPrecision(4))).replace("-", "−") : "–");
// An answer in words: a label, the labels that hold, or a number.
function answerText(answer) {
  if (Array.isArray(answer)) return answer.length ? answer.join(", ") : "no label";
  return typeof answer === "number" ? numberText(answer) : String(answer ?? "–");
}
const isSameAnswer = (a, b) => JSON.stringify([a].flat().sort()) === JSON.stringify([b].flat().sort());
const nowhereWords = (card) =>
  card.answers && card.answers.answer === "value"
    ? "Nowhere: on every held-out text the two are less than a quarter of the numbers' spread apart."
    : "Nowhere: every held-out text gets the same answer from both.";
// What agreement counts, by the form of the answers.
const AGREEMENT_WORDS = {
  labels: "of all yes or no, text by text and label by label, are the teacher's",
  value: "of the texts get a number less than a quarter of the numbers' spread from the teacher's",
};

// Errors are in the numbers' own unit, scores end at 1.
const shownIn = (figure, value) => (figure.better === "less" ? numberText(value) : fraction(value));
const besideTeacher = (card) => card.id !== "teacher";
function figuresBeside(card, figures) {
  const head = ["", card.id, ...(besideTeacher(card) ? ["teacher"] : [])];
  const rows = figures.map((f) => [
    `${f.figure}, ${f.better} is better`,
    shownIn(f, f.member),
    ...(besideTeacher(card) ? [shownIn(f, f.teacher)] : []),
  ]);
  return plainTable("All answers together", head, rows);
}

function labelsAnswers(card, answers) {
  return [
    figuresBeside(card, answers.figures),
    countsTable(card, answers.counts),
    el("div", { class: "all-of-it" }, labelTable(card, answers)),
  ];
}
// Each label's figures, the teacher's behind a stroke; the most frequent label first.
function labelTable(card, answers) {
  const pair = (mine, theirs, show) =>
    besideTeacher(card) && known(theirs) ? `${show(mine)} / ${show(theirs)}` : show(mine);
  const chance = (value) => (known(value) ? value.toFixed(2) : "–");
  const rows = [...answers.classes]
    .sort((a, b) => b.n - a.n)
    .map((c) => [
      c.label,
      whole(c.n),
      pair(c.precision, c.teacher_precision, fraction),
      pair(c.recall, c.teacher_recall, fraction),
      pair(c.f1, c.teacher_f1, fraction),
      known(c.teacher_f1) && besideTeacher(card) ? signed(100 * (c.f1 - c.teacher_f1), 1) : "–",
      pair(c.threshold, c.teacher_threshold, chance),
    ]);
  const caption = besideTeacher(card) ? "Label by label: this one / the teacher" : "Label by label";
  return plainTable(caption, ["label", "texts", "precision", "recall", "F1", "points", "holds from"], rows);
}
const MOST_COUNTED = 8; // labels; texts with more are counted together
function countsTable(card, counts) {
  const columns = [counts.truth, counts.member, ...(besideTeacher(card) && counts.teacher ? [counts.teacher] : [])];
  const most = Math.min(counts.truth.length - 1, MOST_COUNTED),
    words = (labels) => `${count(labels, "label")}${labels === MOST_COUNTED ? " or more" : ""}`;
  const texts = (column, labels) =>
    labels < MOST_COUNTED ? column[labels] : column.slice(labels).reduce((sum, some) => sum + some, 0);
  const rows = Array.from({ length: most + 1 }, (_, labels) => [
    labels ? words(labels) : "no label",
    ...columns.map((column) => whole(texts(column, labels))),
  ]);
  const mean = (column) =>
    column.reduce((sum, texts, labels) => sum + texts * labels, 0) / column.reduce((a, b) => a + b, 0);
  rows.push(["labels a text", ...columns.map((column) => numberText(mean(column)))]);
  const head = ["texts with", "truth", card.id, ...(columns.length > 2 ? ["teacher"] : [])];
  return plainTable("How many labels a text gets", head, rows);
}

function valueAnswers(card, answers) {
  const series = [{ name: card.id, tone: besideTeacher(card) ? "member" : "teacher" }];
  if (besideTeacher(card) && answers.points.some((p) => known(p[2]))) series.push({ name: "teacher", tone: "teacher" });
  const picture = el(
    "div",
    {},
    fitted((width) => scatterPicture(card, answers, Math.min(width, 620)), "scatter"),
    toneLegend(series),
    folded("The same as a table", scatterTable(card, answers)),
  );
  return [figuresBeside(card, answers.figures), picture];
}
// Dots over the true number; on the diagonal an answer is right. The teacher's are open squares.
function scatterPicture(card, answers, width) {
  const { points } = answers,
    all = points.flat().filter(known),
    height = 300,
    floor = height - 36;
  const [low, high] = [Math.min(...all), Math.max(...all)],
    air = 0.04 * (high - low) || 1;
  const x = linearScale(low - air, high + air, 44, width - 10),
    y = linearScale(low - air, high + air, floor, 22);
  const theirs = besideTeacher(card) ? points.filter((p) => known(p[2])) : [];
  return drawing(
    width,
    height,
    `Numbers of ${card.id} over the true ones`,
    `${count(points.length, "text")} of ${whole(answers.n)}: the true number to the right, the answer upwards; on the line an answer is right. ${answers.figures.map((f) => `${f.figure} ${shownIn(f, f.member)}`).join(", ")}.`,
    xAxis(linearTicks(low, high, width / 90), x, floor, 22, `true ${answers.labels[0] ?? "number"}`, width - 8),
    yAxis(linearTicks(low, high, 6), y, 44, width - 8, "answer"),
    svg("line", { x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "identity" }),
    ...theirs.map((p) =>
      svg("rect", { x: x(p[0]) - 2.2, y: y(p[2]) - 2.2, width: 4.4, height: 4.4, class: "speck tone-teacher" }),
    ),
    ...points.map((p) => svg("circle", { cx: x(p[0]), cy: y(p[1]), r: 2.6, class: "speck tone-member" })),
  );
}
// The texts that are drawn, by fifths of their true numbers.
function scatterTable(card, answers) {
  const sorted = [...answers.points].sort((a, b) => a[0] - b[0]),
    parts = Math.min(5, sorted.length),
    teacher = besideTeacher(card);
  const mean = (list, read) => numberText(list.reduce((sum, p) => sum + read(p), 0) / list.length);
  const rows = Array.from({ length: parts }, (_, i) => {
    const some = sorted.slice(Math.round((i * sorted.length) / parts), Math.round(((i + 1) * sorted.length) / parts));
    const told = some.filter((p) => known(p[2]));
    return [
      `${numberText(some[0][0])} to ${numberText(some.at(-1)[0])}`,
      whole(some.length),
      mean(some, (p) => p[1]),
      mean(some, (p) => Math.abs(p[1] - p[0])),
      ...(teacher ? [told.length ? mean(told, (p) => p[2]) : "–"] : []),
    ];
  });
  const head = [
    "true number",
    "texts",
    `mean of ${card.id}`,
    "mean error",
    ...(teacher ? ["mean of the teacher"] : []),
  ];
  return plainTable("Numbers by the true one", head, rows);
}

// A kind that nothing here knows: its scores, which every kind has.
function otherAnswers(card, answers, list, metric) {
  const agreement = (m) => (m.id === "teacher" ? null : (m.held_out_agreement ?? m.agreement));
  const rows = list.map((m) => [
    m.id === "plain_int8" ? "plain int8" : m.id,
    fraction(scoreOf_(m)),
    known(scoreError(m)) ? scoreError(m).toFixed(4) : "–",
    known(agreement(m)) ? percent(agreement(m), 1) : "–",
  ]);
  const caption = `${count(answers.n, "text")} with answers of the kind ${answers.kind}`;
  return [plainTable(caption, ["", metric, "standard error", "agreement"], rows)];
}
const ANSWERS_DRAWN = { label: labelAnswers, labels: labelsAnswers, value: valueAnswers };
