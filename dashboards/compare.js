"use strict";
// Two to four models side by side. Not only members of one run: landmarks, and members of other runs too.

const refName = (found) =>
  `${page.runs.length > 1 ? `${found.run.name} · ` : ""}${found.member.id === "plain_int8" ? "plain int8" : found.member.id}`;
const comparedNow = () => state.compare.map(memberOf).filter(Boolean).slice(0, MOST_AT_ONCE);

// The button in a card's head; it follows the state.
function compareButton(ref) {
  const button = el("button", { type: "button", id: "card-compare" });
  const tell = () => {
    const isIn = state.compare.includes(ref);
    button.textContent = isIn
      ? "Leave the comparison"
      : state.compare.length
        ? `Compare with ${state.compare.length === 1 ? idOf(state.compare[0]) : `${state.compare.length} others`}`
        : "Compare";
    button.setAttribute("aria-pressed", String(isIn));
    button.disabled = !isIn && state.compare.length >= MOST_AT_ONCE;
  };
  button.addEventListener("click", () => toggleCompared(ref));
  button.tell = tell;
  tell();
  return button;
}

let comparisonDrawn = "";
let comparisonRequest = 0;
function drawComparison() {
  const box = byId("comparison"),
    button = byId("card-compare");
  if (button && button.tell) button.tell();
  if (!box) return;
  const list = comparedNow(),
    key = JSON.stringify(list.map((found) => [found.ref, fingerprint(found.member)]));
  if (key === comparisonDrawn) return;
  comparisonDrawn = key;
  const request = (comparisonRequest += 1);
  box.hidden = !list.length;
  if (!list.length) {
    clear(box);
    return;
  }
  Promise.all(
    list.map((found) => cardOf(found.ref).catch((error) => ({ ...bareCard(found.member), problem: error.message }))),
  ).then((cards) => request === comparisonRequest && fillComparison(box, list, cards));
}
function fillComparison(box, list, cards) {
  const held =
    document.activeElement && box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  clear(box);
  box.setAttribute("aria-labelledby", "comparison-title");
  box.append(comparisonHead(list));
  if (list.length > 1)
    box.append(figuresCompared(list), plansCompared(list), timesCompared(list, cards), layersCompared(list, cards));
  else
    box.append(el("p", { class: "hint" }, "Add one to three more: from the list here, or with the button of a card."));
  const again = held && (box.querySelector(`[data-key="${CSS.escape(held)}"]`) || byId("comparison-title"));
  if (again) again.focus();
}

function comparisonHead(list) {
  const title = el("h2", { id: "comparison-title", tabindex: "-1" }, list.length > 1 ? "Side by side" : "Compare");
  const link = copyButton(location.href, "Copy link"),
    end = el("button", { type: "button", "data-key": "end" }, "End");
  link.dataset.key = "link";
  end.addEventListener("click", () => setState({ compare: [] }));
  return el(
    "div",
    { class: "card-head" },
    title,
    el("div", { class: "buttons" }, list.length < MOST_AT_ONCE ? addChoice(list) : "", link, end),
  );
}
function addChoice(list) {
  const choice = el(
    "select",
    { "aria-label": "Add to the comparison", "data-key": "add" },
    el("option", { value: "" }, "Add …"),
  );
  for (const run of page.runs.filter((one) => !state.runs || state.runs.includes(one.key))) {
    const group = page.runs.length > 1 ? el("optgroup", { label: run.name }) : choice;
    const { teacher, plain_int8: plain, members } = run.summary;
    for (const member of [...members, plain, teacher].filter(Boolean)) {
      const ref = `${run.key}/${member.id}`;
      if (!list.some((found) => found.ref === ref))
        group.append(
          el(
            "option",
            { value: ref },
            `${member.id === "plain_int8" ? "plain int8" : member.id}: ${size(member.bytes)}, ${millis(member.latency_ms, member.latency_predicted, member.latency_disturbed)}, ${fraction(scoreOf_(member))}`,
          ),
        );
    }
    if (group !== choice) choice.append(group);
  }
  choice.addEventListener("change", () => choice.value && toggleCompared(choice.value));
  return choice;
}

function comparedHeads(list, first) {
  return el(
    "tr",
    {},
    el("th", { scope: "col" }, first),
    ...list.map((found, i) => {
      const drop = el(
        "button",
        { type: "button", class: "small", "aria-label": `Remove ${refName(found)}`, "data-key": `drop ${found.ref}` },
        "×",
      );
      drop.addEventListener("click", () => toggleCompared(found.ref));
      const open = el("button", { type: "button", class: "link", "data-key": `open ${found.ref}` }, refName(found));
      open.addEventListener("click", () => setState({ pick: found.ref }));
      return el("th", { scope: "col" }, el("i", { class: `swatch tone-${i}` }), open, " ", drop);
    }),
  );
}
function figuresCompared(list) {
  const rows = FIGURES.filter((figure) => list.some((found) => known(figureOf(found.member, figure.key)))).map(
    (figure) => figureRow(figure, list),
  );
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "compared" },
      el("caption", {}, "Figures; ★ is the best of a row"),
      el("thead", {}, comparedHeads(list, "")),
      el("tbody", {}, ...rows),
    ),
  );
}
function figureRow(figure, list) {
  const values = list.map((found) => figureOf(found.member, figure.key)),
    some = values.filter(known);
  const best = some.length > 1 ? (figure.better === "more" ? Math.max(...some) : Math.min(...some)) : null;
  const isTie = some.every((value) => value === best);
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, figure.label),
    ...list.map((found, i) => {
      const isBest = known(values[i]) && values[i] === best && !isTie;
      return el(
        "td",
        isBest ? { class: "best" } : {},
        isBest ? "★ " : "",
        known(values[i]) ? figure.show(values[i], found.member) : "–",
        figure.key === "score" ? spreadOf(found.member) : "",
      );
    }),
  );
}
const spreadOf = (member) =>
  known(scoreError(member)) ? el("span", { class: "hint" }, ` ± ${(1.96 * scoreError(member)).toFixed(4)}`) : "";

// Options of the plans, one row each. Only plans are compared: a landmark has none.
function planRows(list) {
  const names = new Map();
  list.forEach((found, i) => {
    for (const step of (found.member.plan && found.member.plan.steps) || [])
      for (const [option, value] of Object.entries(step.options || {})) {
        const name = `${step.technique}: ${option}`.replaceAll("_", " ");
        if (!names.has(name)) names.set(name, new Array(list.length).fill("–"));
        names.get(name)[i] = valueText(value);
      }
  });
  const planned = list.map((found) => Boolean(found.member.plan));
  return [...names].map(([name, values]) => ({
    name,
    values,
    differs: new Set(values.filter((_, i) => planned[i])).size > 1,
  }));
}
// A settled option in words: lists by layer, maps by the values that occur in them.
function valueText(value) {
  if (!known(value)) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value))
    return new Set(value).size === 1 && value.length > 1
      ? `${valueText(value[0])} (all ${value.length})`
      : value.map(valueText).join(" · ");
  if (typeof value === "object") return mapText(value);
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 6 }) : String(value);
}
function mapText(map) {
  const groups = new Map();
  for (const [key, value] of Object.entries(map)) {
    const name = key.replace(/^blocks\.\d+\./, "").replaceAll("_", " "),
      text = valueText(value);
    groups.set(name, [...new Set([...(groups.get(name) || []), text])]);
  }
  return [...groups].map(([name, values]) => `${name} ${values.join("/")}`).join(", ") || "none";
}
function plansCompared(list) {
  const rows = planRows(list),
    differing = rows.filter((row) => row.differs),
    same = rows.filter((row) => !row.differs);
  const box = panel("The plans", "");
  box.append(
    differing.length
      ? planTable("What differs", differing, list)
      : missing(rows.length ? "The plans are the same." : "Their plans are not known."),
  );
  if (same.length)
    box.append(folded(`${count(same.length, "option")} the same`, planTable("What is the same", same, list)));
  return box;
}
function planTable(caption, rows, list) {
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "option"),
    ...list.map((found) => el("th", { scope: "col" }, refName(found))),
  );
  const lines = rows.map((row) =>
    el(
      "tr",
      row.differs ? { class: "differs" } : {},
      el("th", { scope: "row" }, row.differs ? "≠\u00a0" : "", row.name),
      ...row.values.map((value) => el("td", {}, value)),
    ),
  );
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "compared plans" },
      el("caption", {}, caption),
      el("thead", {}, head),
      el("tbody", {}, ...lines),
    ),
  );
}
function timesCompared(list, cards) {
  const series = cards
    .map((card, i) => ({ name: refName(list[i]), ms: card.latency && card.latency.ms, tone: i, quantiles: null }))
    .filter((one) => times_(one.ms).length);
  if (series.length < 2)
    return panel(
      "How long they take",
      "",
      missing("There are no times of single texts to compare: fewer than two of them have any."),
    );
  const rows = series.map((one) => {
    const q = quantilesOf(times_(one.ms));
    return [one.name, ...["p50", "p95", "p99"].map((name) => `${three(q[name])} ms`)];
  });
  return panel(
    "How long they take",
    "",
    fitted((width) => spreadPicture(series, Math.min(width, 1080), "Times of the compared models"), "spread overlaid"),
    toneLegend(series),
    plainTable("Times of single texts", ["", "p50", "p95", "p99"], rows),
  );
}
function layersCompared(list, cards) {
  const shown = cards.map((card, i) => [card, list[i]]).filter(([card]) => card.layers);
  if (!shown.length) return panel("Layer by layer", "", missing("There is no picture of the layers of any of them."));
  return panel(
    "Layer by layer",
    "",
    el(
      "div",
      { class: "abreast" },
      ...shown.map(([card, found]) =>
        el(
          "figure",
          {},
          el("figcaption", {}, refName(found)),
          fitted((width) => layerPicture(card, Math.min(width, 620)), "layers"),
          bitsLegend(card),
        ),
      ),
    ),
  );
}

onState(() => drawComparison());
onData(() => drawComparison());
