"use strict";
// How right it is: scores with intervals, confusion, classes, and texts on which it answers otherwise than the teacher.
const FIRST_DIFFERENCES = 6;

const scoreOf_ = (member) => figureOf(member, "score");
const scoreError = (member) => (known(member.score) ? member.score_se : member.search_score_se);
const interval = (value, se) =>
  known(value) && known(se) ? [value - 1.96 * se, Math.min(1, value + 1.96 * se)] : null;
const spanText = (span, show) => (span ? `${show(span[0])} to ${show(span[1])}` : "");
const signed = (value, digits) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(digits)}`;
const asPoints = (difference) => signed(100 * difference, 1);

// The score and its interval, under the landmarks' ones, on one scale.
function scorePicture(list, metric, width) {
  const spans = list.map((m) => interval(scoreOf_(m), scoreError(m)) || [scoreOf_(m), scoreOf_(m)]);
  const low = Math.min(...spans.flat()),
    high = Math.min(Math.max(...spans.flat()), 1.2),
    air = Math.max(0.004, 0.08 * (high - low));
  const x = linearScale(low - air, high + air, 84, width - 14),
    floor = 16 + 24 * list.length;
  const rows = list.map((m, i) => {
    const y = 18 + 24 * i,
      [from, to] = spans[i],
      at = x(scoreOf_(m));
    return svg(
      "g",
      { class: `pin tone-${toneOf(m.id)}` },
      svgText(78, y + 4, m.id === "plain_int8" ? "plain int8" : m.id, "end", "row-name"),
      svg("line", { x1: x(from), x2: x(to), y1: y, y2: y, class: "whisker" }),
      svg("circle", { cx: at, cy: y, r: 4.5 }),
    );
  });
  const told = list.map((m, i) => `${m.id}: ${fraction(scoreOf_(m))}, ${spanText(spans[i], fraction)}.`).join(" ");
  return drawing(
    width,
    floor + 36,
    `${metric} with 95 % intervals`,
    told,
    xAxis(linearTicks(low - air, high + air, width / 110), x, floor, 4, metric, width - 8),
    ...rows,
  );
}
const toneOf = (id) => (id === "teacher" ? "teacher" : id === "plain_int8" ? "plain" : "member");

function confusionTable(title, labels, counts) {
  const heads = labels.map((name) => el("th", { scope: "col" }, name));
  const rows = counts.map((row, i) => {
    const total = row.reduce((a, b) => a + b, 0);
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, labels[i] ?? i),
      ...row.map((texts, j) => confusionCell(texts, total, i === j)),
    );
  });
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "confusion" },
      el("caption", {}, title),
      el("thead", {}, el("tr", {}, el("td", { class: "corner" }, "truth ↓ answer →"), ...heads)),
      el("tbody", {}, ...rows),
    ),
  );
}
function confusionCell(texts, total, isRight) {
  const share = total ? texts / total : 0;
  const cell = el(
    "td",
    { class: isRight ? "right" : "wrong" },
    el("b", {}, whole(texts)),
    el("span", {}, percent(share, share && share < 0.1 ? 1 : 0)),
  );
  cell.style.setProperty("--share", share.toFixed(3));
  return cell;
}
function classTable(answers) {
  const rows = answers.classes.map((c) => [
    c.label,
    whole(c.n),
    fraction(c.precision),
    fraction(c.recall),
    fraction(c.f1),
    fraction(c.teacher_f1),
    known(c.f1) && known(c.teacher_f1) ? signed(100 * (c.f1 - c.teacher_f1), 1) : "–",
  ]);
  return plainTable("Class by class", ["class", "texts", "precision", "recall", "F1", "teacher's F1", "points"], rows);
}

function answersPanel(card, found) {
  const { answers } = card,
    metric = metricOf(found.run.summary),
    marks = [found.run.summary.teacher, found.run.summary.plain_int8];
  const others = marks.filter((m) => m && m.id !== card.id).map((mark) => onItsSplit(mark, found.member));
  const list = [...others, found.member].filter((m) => known(scoreOf_(m)));
  const picture = list.length ? fitted((width) => scorePicture(list, metric, Math.min(width, 620)), "scores") : "";
  const split = known(found.member.score)
    ? "held-out split: it chose nothing"
    : "search split, which the search chose by";
  const box = panel(
    "How right it is",
    "wide",
    el("p", { class: "hint" }, `${metric} on the ${split}. Bars are 95 % intervals.`),
  );
  if (!answers) {
    box.append(
      picture,
      absent(found, "This run is of a version that kept no single answers: no confusion matrix, no classes."),
    );
    return box;
  }
  const draw = ANSWERS_DRAWN[answers.answer === undefined ? "label" : answers.answer] || otherAnswers;
  box.append(el("div", { class: "twofold" }, picture, ...draw(card, answers, list, metric)));
  return box;
}
function labelAnswers(card, answers) {
  const matrices = [confusionTable(`${card.id}, ${count(answers.n, "text")}`, answers.labels, answers.confusion)];
  if (answers.teacher_confusion && card.id !== "teacher")
    matrices.push(confusionTable("the teacher", answers.labels, answers.teacher_confusion));
  return [answers.classes ? classTable(answers) : "", ...matrices];
}

function differencesPanel(card, found, tryText) {
  const { differences } = card;
  if (card.id === "teacher") return null;
  const box = panel("Where it answers otherwise than the teacher", "wide");
  if (!differences)
    box.append(absent(found, "This run is of a version that did not keep the texts on which the two differ."));
  else if (!differences.count) box.append(el("p", {}, nowhereWords(card)));
  else box.append(...differencesOf(card, tryText));
  return box;
}
function differencesOf(card, tryText) {
  const { count: all, shown } = card.differences;
  if (!(shown || []).length)
    return [missing(`${count(all, "text")}; they are not in this page (it was made without texts of the data set).`)];
  const list = el("ol", { class: "differences" }),
    more = el("button", { type: "button" }, `Show all ${shown.length}`);
  const show = (from, to) => list.append(...shown.slice(from, to).map((one) => differenceItem(card, one, tryText)));
  show(0, FIRST_DIFFERENCES);
  more.addEventListener("click", () => {
    more.remove();
    show(FIRST_DIFFERENCES, shown.length);
    list.children[FIRST_DIFFERENCES].focus();
  });
  const said = el(
    "p",
    { class: "hint" },
    `${count(all, "text")} of the held-out split${shown.length < all ? `, ${shown.length} of them here` : ""}: ${whoIsRight(shown)}.`,
  );
  return [said, list, shown.length > FIRST_DIFFERENCES ? more : ""];
}
function whoIsRight(shown) {
  if (typeof shown[0].truth === "number") return `the farthest apart first; ${whoIsNearer(shown)}`;
  const mine = shown.filter((d) => isSameAnswer(d.member, d.truth)).length,
    theirs = shown.filter((d) => isSameAnswer(d.teacher, d.truth)).length;
  return `it is right on ${mine}, the teacher on ${theirs}${shown.length > mine + theirs ? `, neither on ${shown.length - mine - theirs}` : ""}`;
}
function whoIsNearer(shown) {
  const [mine, theirs] = ["member", "teacher"].map((who) => shown.map((d) => Math.abs(d[who] - d.truth)));
  const nearer = mine.filter((error, i) => error < theirs[i]).length;
  return `it is nearer to the truth on ${nearer}, the teacher on ${theirs.filter((error, i) => error < mine[i]).length}`;
}
function differenceItem(card, one, tryText) {
  const item = el(
    "li",
    { tabindex: "-1" },
    el("p", { class: "sample" }, one.text),
    one.pair ? el("p", { class: "sample second" }, one.pair) : "",
    el(
      "p",
      { class: "verdicts" },
      el("span", {}, "truth ", el("b", {}, answerText(one.truth))),
      verdict("teacher", one.teacher, one.teacher_confidence, one.truth, "teacher"),
      verdict(card.id, one.member, one.member_confidence, one.truth, "member"),
    ),
  );
  if (tryText) {
    const button = el("button", { type: "button", class: "small" }, "Try it");
    button.addEventListener("click", () => tryText(one.text, one.pair));
    item.lastChild.append(button);
  }
  return item;
}
function verdict(who, answer, confidence, truth, tone) {
  if (typeof answer === "number")
    return el(
      "span",
      { class: "verdict" },
      `${who} `,
      el("b", {}, answerText(answer)),
      ` (${numberText(Math.abs(answer - truth))} off)`,
    );
  const isRight = isSameAnswer(answer, truth);
  return el(
    "span",
    { class: `verdict ${isRight ? "right" : "wrong"}` },
    `${who} `,
    el("b", {}, `${isRight ? "✓" : "✗"} ${answerText(answer)}`),
    known(confidence) ? meter(confidence, tone, `${who}: ${percent(confidence)} sure`) : "",
    known(confidence) ? ` ${percent(confidence)}` : "",
  );
}
function meter(share, tone, name) {
  const bar = el("i", {});
  bar.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return el("span", { class: `meter tone-${tone}`, role: "img", "aria-label": name }, bar);
}
