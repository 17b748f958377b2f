"use strict";
// Try it: a text, and what the teacher and the member say of it.
const KEPT_TRIES = 5;
const triesOf = new Map(); // ref -> the last tries, newest first
const LONGEST_TEXT = 20000;

const asksPairs = (card, run) =>
  Boolean(
    (run.spec.task && run.spec.task.pair) ||
    ((card.differences && card.differences.shown) || []).some((d) => known(d.pair)),
  );

// Returns {box, tryText(text, pair)}.
function tryPanel(card, found) {
  const box = panel("Try it", "wide try");
  if (!isLive) {
    box.append(
      missing("Trying a text needs the live page. This command opens one:"),
      commandLine(`autocomp dashboard ${quoted(found.run.path || found.run.name)}`),
    );
    return { box };
  }
  const text = tryField("try-text", "Text"),
    pair = tryField("try-pair", "Second text"),
    said = el("p", { class: "problem", role: "alert" });
  pair.row.hidden = !asksPairs(card, found.run);
  const button = el("button", { type: "button", class: "primary", id: "try-go" }, "Ask both");
  const answers = el("div", { id: "try-answers", "aria-live": "polite" });
  const go = () => askBoth({ card, found, text, pair, button, said, answers });
  button.addEventListener("click", go);
  for (const field of [text.input, pair.input])
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      go();
    });
  const tryText = (first, second) => {
    text.input.value = first;
    pair.input.value = second || "";
    text.input.focus();
    go();
  };
  box.append(
    text.row,
    pair.row,
    el("p", { class: "buttons" }, button, el("span", { class: "hint" }, "Enter asks, Shift+Enter begins a new line.")),
    ...examples(card, tryText),
    said,
    answers,
  );
  drawTries(answers, found, card);
  return { box, tryText };
}
function tryField(id, name) {
  const input = el("textarea", { id, rows: "2", maxlength: String(LONGEST_TEXT), spellcheck: "false" });
  return { input, row: el("p", { class: "field" }, el("label", { for: id }, name), input) };
}
function examples(card, tryText) {
  const shown = ((card.differences && card.differences.shown) || []).slice(0, 3);
  if (!shown.length) return [];
  const buttons = shown.map((one) => {
    const button = el(
      "button",
      { type: "button", class: "example" },
      one.text.length > 90 ? `${one.text.slice(0, 88)}…` : one.text,
    );
    button.addEventListener("click", () => tryText(one.text, one.pair));
    return el("li", {}, button);
  });
  return [el("p", { class: "hint" }, "Texts on which the two differ:"), el("ul", { class: "examples" }, ...buttons)];
}

async function askBoth({ card, found, text, pair, button, said, answers }) {
  if (!text.input.value.trim()) {
    said.textContent = "Type a text first.";
    text.input.focus();
    return;
  }
  const asked = { text: text.input.value };
  if (!pair.row.hidden) asked.pair = pair.input.value;
  button.disabled = true;
  said.textContent = "";
  try {
    const told = await post(`${itemPath(found.run, card.id)}/try`, asked);
    const tries = triesOf.get(found.ref) || [];
    triesOf.set(found.ref, [{ ...asked, ...told }, ...tries].slice(0, KEPT_TRIES));
    drawTries(answers, found, card);
  } catch (error) {
    said.textContent = error.message;
    if (/takes two texts/.test(error.message)) pair.row.hidden = false;
  } finally {
    button.disabled = false;
  }
}
function drawTries(box, found, card) {
  clear(box);
  for (const one of triesOf.get(found.ref) || []) box.append(tryItem(one, found, card));
}
function tryItem(one, found, card) {
  const id = found.member.id,
    scale = card.answers && card.answers.scale;
  const columns = [
    one.teacher && answerBox("teacher", one.teacher, "teacher", scale),
    id !== "teacher" && one.member && answerBox(id, one.member, "member", scale),
  ];
  return el(
    "article",
    { class: "tried" },
    el("p", { class: "sample" }, one.text),
    one.pair ? el("p", { class: "sample second" }, one.pair) : "",
    id === "teacher" || !one.teacher || !one.member ? "" : triedVerdict(saidOf(one.teacher), saidOf(one.member)),
    el("div", { class: "pair" }, ...columns.filter(Boolean)),
  );
}
// What was answered: a label, the labels that hold, or a number.
const saidOf = (answer) => answer.value ?? answer.labels ?? answer.label;
function triedVerdict(theirs, mine) {
  if (typeof mine === "number" && typeof theirs === "number")
    return el("p", { class: "verdict" }, el("b", {}, `${numberText(Math.abs(mine - theirs))} apart`));
  const isSame = isSameAnswer(theirs, mine);
  return el(
    "p",
    { class: isSame ? "verdict right" : "verdict wrong" },
    el("b", {}, isSame ? "✓ the same answer" : "✗ they differ"),
  );
}
function scoreBars(answer, tone) {
  const holds = (name) => (answer.labels || []).includes(name);
  const scores = Object.entries(answer.scores || {}).sort((a, b) => holds(b[0]) - holds(a[0]) || b[1] - a[1]);
  const shown = scores.slice(0, Math.max(6, (answer.labels || []).length));
  return shown.map(([name, share]) =>
    el(
      "li",
      {},
      el("span", {}, holds(name) ? `✓ ${name}` : name),
      meter(share, tone, `${name} ${percent(share, 1)}${holds(name) ? ", holds" : ""}`),
      el("b", {}, percent(share, 1)),
    ),
  );
}
// A number on the scale of the held-out texts' true ones.
function scaleBar(value, scale, tone) {
  if (!scale) return [];
  const [low, high] = scale,
    words = `${numberText(value)} on a scale from ${numberText(low)} to ${numberText(high)}`;
  return [
    el(
      "li",
      {},
      el("span", {}, `from ${numberText(low)}`),
      meter((value - low) / (high - low || 1), tone, words),
      el("b", {}, `to ${numberText(high)}`),
    ),
  ];
}
function answerBox(who, answer, tone, scale) {
  const rows = known(answer.value) ? scaleBar(answer.value, scale, tone) : scoreBars(answer, tone);
  const left =
    known(answer.exit_depth) && known(answer.depth)
      ? answer.exit_depth < answer.depth
        ? `left after layer ${answer.exit_depth} of ${answer.depth}`
        : answer.depth === 1
          ? "its one layer"
          : `all ${answer.depth} layers`
      : null;
  const facts = [
    known(answer.ms) ? `${three(answer.ms)} ms` : null,
    left,
    known(answer.tokens) ? count(answer.tokens, "token") : null,
  ]
    .filter(Boolean)
    .join(" · ");
  return el(
    "div",
    { class: "answer" },
    el("p", {}, `${who}: `, el("b", {}, answerText(saidOf(answer)))),
    el("ul", { class: "exits" }, ...rows),
    el("p", { class: "hint" }, facts),
  );
}
