"use strict";
// The card of what is picked: a member, a landmark, or any candidate. Opening it moves the focus to its heading.
const cardsKnown = new Map(); // ref and figures -> promise of a card
const cardView = { ref: null, figures: null, from: null, request: 0 };

// What a card was made for; a landmark also holds its whole run.
const fingerprint = ({ run, ...figures }) => JSON.stringify(figures);

// ref: "r0/m03", "r0/teacher", "r0/plain_int8" or, of a candidate, "r0/t0005-7".
function cardOf(ref) {
  const found = memberOf(ref);
  if (!found) return trialCard(ref);
  const { run, member } = found,
    inside = run.cards && run.cards[member.id];
  if (inside) return Promise.resolve(inside);
  if (!isLive) return Promise.resolve(bareCard(member));
  const key = `${ref} ${fingerprint(member)}`;
  if (!cardsKnown.has(key))
    cardsKnown.set(
      key,
      api(`${itemPath(run, member.id)}/card`).catch((error) => {
        cardsKnown.delete(key);
        throw error;
      }),
    );
  return cardsKnown.get(key);
}
// What is known of a model whose card is nowhere: figures and a line of words.
const bareCard = (item) => ({
  id: item.id,
  describe: item.describe,
  words: item.describe ? item.describe.split(" · ") : [],
  plan_yaml: "",
  sizes: null,
  layers: null,
  latency: null,
  answers: null,
  differences: null,
  exits_used: null,
  lineage: null,
  commands: null,
});

function runOf(ref) {
  const key = String(ref).split("/", 1)[0];
  return page.runs.find((run) => run.key === key) || null;
}
const idOf = (ref) => String(ref).slice(String(ref).indexOf("/") + 1);

// A candidate that is no member: its figures and knobs are in the page, the rest the live server knows.
async function trialCard(ref) {
  const run = runOf(ref),
    id = idOf(ref),
    row = run ? run.trials.id.indexOf(id) : -1;
  if (row < 0) throw new Error(`There is no ${id || "model"} here${run ? "" : ": no such run"}.`);
  const job = run.trials.jobs[run.trials.job[row]] || {};
  const member = {
    id,
    describe: job.describe,
    latency_predicted: Boolean(run.trials.predicted && run.trials.predicted[row]),
  };
  for (const [key, column] of Object.entries(run.trials.values))
    member[figure(key) ? figure(key).keys.at(-1) : key] = column[row];
  const knobs = Object.entries(run.trials.knobs)
    .filter(([, k]) => known(k.codes[row]) && k.codes[row] >= 0)
    .map(([name, k]) => [name, String(k.values[k.codes[row]])]);
  const record = isLive ? await api(`${runPath(run)}/trials/${encodeURIComponent(id)}`).catch(() => null) : null;
  const made = {
    kind: job.kind || "trial",
    text: known(run.trials.rung[row]) && run.trials.rung[row] >= 0 ? `rung ${run.trials.rung[row]}` : "",
    seconds: record && record.seconds,
    job: job.id,
  };
  return { ...bareCard(member), lineage: [made], trial: { run, member, ref }, knobs, record };
}

function drawCard() {
  const box = byId("card");
  if (!box) return;
  const ref = state.pick,
    isFirst = document.readyState === "loading";
  if (!ref) return closeCard(box);
  const found = memberOf(ref),
    figures = found ? fingerprint(found.member) : ref;
  if (cardView.ref === ref && cardView.figures === figures) return undefined;
  const isNew = cardView.ref !== ref,
    request = (cardView.request += 1);
  if (isNew && !cardView.ref && document.activeElement !== document.body) cardView.from = document.activeElement;
  Object.assign(cardView, { ref, figures });
  const hasFocus = !isNew && box.contains(document.activeElement);
  return cardOf(ref)
    .then(
      (card) => request === cardView.request && fillCard(box, card, found || card.trial),
      (error) => request === cardView.request && failCard(box, ref, error),
    )
    .then(() => request === cardView.request && !isFirst && (isNew || hasFocus) && focusCard());
}
function focusCard() {
  const title = byId("card-title");
  if (!title) return;
  title.focus({ preventScroll: true });
  title.scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: no-preference)").matches ? "smooth" : "auto",
    block: "start",
  });
}
function closeCard(box) {
  if (!cardView.ref) return;
  const hadFocus = box.contains(document.activeElement) || document.activeElement === document.body;
  const back = hadFocus ? openedFrom() : null;
  Object.assign(cardView, { ref: null, figures: null, from: null, request: cardView.request + 1 });
  clear(box);
  box.hidden = true;
  if (back) back.focus();
}
// What had the focus when the card was opened; a table that was drawn anew has another button of that name.
function openedFrom() {
  const { from, ref } = cardView;
  if (from && from.isConnected) return from;
  const name = (from && from.dataset.focus) || `open-${ref}`;
  return document.querySelector(`[data-focus="${CSS.escape(name)}"]`);
}

function cardHead(found, card) {
  const { run, member } = found,
    several = page.runs.length > 1 ? `${run.name}: ` : "";
  const name = { teacher: "The teacher", plain_int8: "The plain int8 export" }[member.id] || member.id;
  const title = el("h2", { id: "card-title", tabindex: "-1" }, `${several}${name}`);
  const close = el("button", { type: "button", id: "card-close" }, "Close");
  close.addEventListener("click", () => setState({ pick: null }));
  const buttons = el("div", { class: "buttons" }, card.trial ? "" : compareButton(found.ref), close);
  const marks = [];
  if (run.knee === member.id) marks.push(el("span", { class: "badge" }, "knee"));
  if (member.dominates_plain_int8) marks.push(el("span", { class: "badge" }, "beats plain int8 in everything"));
  if (card.trial) marks.push(el("span", { class: "badge" }, "a candidate, not on the front"));
  return el(
    "div",
    { class: "card-head" },
    el("div", {}, title, el("p", { class: "describe" }, card.describe || member.describe || "", " ", ...marks)),
    buttons,
  );
}
function fillCard(box, card, found) {
  clear(box);
  box.hidden = false;
  box.setAttribute("aria-labelledby", "card-title");
  const tryBox = card.trial ? null : tryPanel(card, found);
  const tryText = tryBox && isLive ? tryBox.tryText : null;
  const exits = exitsPanel(card);
  const parts = card.trial
    ? trialPanels(card)
    : [
        planPanel(card),
        sizesPanel(card, found),
        layersPanel(card, found),
        ...latencyPanels(card, found),
        answersPanel(card, found),
        differencesPanel(card, found, tryText),
        tryBox && tryBox.box,
        exportPanel(card, found),
        exits,
        lineagePanel(card, found),
        commandsPanel(card, exits ? "wide" : ""),
      ];
  box.append(
    cardHead(found, card),
    figureBoxes(found, card.answers),
    figuresTable(found),
    el("div", { class: "panels" }, ...parts.filter(Boolean)),
    (card.notes || []).length ? el("ul", { class: "hint" }, ...card.notes.map((note) => el("li", {}, note))) : "",
  );
}
function trialPanels(card) {
  const knobs = card.knobs.length
    ? plainTable("What was chosen", ["knob", "value"], card.knobs)
    : missing("No knobs: the teacher as it is.");
  const plan = card.record && card.record.plan;
  const said = panel(
    "The plan",
    "",
    knobs,
    plan ? folded("The plan as JSON", el("pre", {}, el("code", {}, JSON.stringify(plan, null, 2)))) : "",
  );
  return [
    said,
    lineagePanel(card, card.trial),
    panel(
      "No files",
      "wide",
      missing("Only members of the front are kept as files: a candidate can be neither tried nor exported."),
    ),
  ];
}
function failCard(box, ref, error) {
  clear(box);
  box.hidden = false;
  const close = el("button", { type: "button", id: "card-close" }, "Close");
  close.addEventListener("click", () => setState({ pick: null }));
  box.append(
    el(
      "div",
      { class: "card-head" },
      el("h2", { id: "card-title", tabindex: "-1" }, idOf(ref)),
      el("div", { class: "buttons" }, close),
    ),
    el("p", { class: "problem", role: "alert" }, error.message),
  );
}

// A card that the address asked for is drawn without taking the focus; one that a person opens takes it.
onState(() => drawCard());
onData(() => drawCard());
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || !state.pick) return;
  event.preventDefault();
  setState({ pick: null });
});
