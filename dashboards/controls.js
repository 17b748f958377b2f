"use strict";
// What several parts of the page are made of: commands to copy, marks, folded tables.
async function copyText(text, button) {
  const before = button.dataset.says || (button.dataset.says = button.textContent);
  const copied = await navigator.clipboard.writeText(text).then(
    () => true,
    () => copiedBySelection(text),
  );
  button.textContent = copied ? "Copied" : "Not copied: select it";
  setTimeout(() => {
    button.textContent = before;
  }, 1600);
}
function copiedBySelection(text) {
  const box = el("textarea", { class: "away", "aria-hidden": "true" });
  box.value = text;
  const held = document.activeElement;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  if (held) held.focus();
  return copied;
}
function copyButton(text, name) {
  const button = el("button", { type: "button", class: "small" }, name || "Copy");
  button.addEventListener("click", () => copyText(text, button));
  return button;
}
const commandLine = (text, name) =>
  el("p", { class: "command" }, el("code", {}, text), copyButton(text, name || "Copy"));
// Measured on a machine, also while something else ran there, or predicted for one that is away: never only by colour.
function sourceMark(predicted, disturbed) {
  if (disturbed && !predicted)
    return el(
      "span",
      { class: "source disturbed", title: "Something else ran each time that it was timed: do not trust it." },
      "! disturbed",
    );
  const tip = predicted
    ? "Worked out from what was recorded of the device; nothing ran on it."
    : "Timed or counted on the files themselves.";
  return el(
    "span",
    { class: predicted ? "source predicted" : "source measured", title: tip },
    predicted ? "~ predicted" : "measured",
  );
}
function folded(summary, ...children) {
  return el("details", {}, el("summary", {}, summary), ...children);
}
// `head` and each row: texts or nodes; the first column names the row.
function plainTable(caption, head, rows) {
  const cells = (row) => row.map((cell, i) => el(i ? "td" : "th", i ? {} : { scope: "row" }, cell));
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row)))),
    ),
  );
}
function panel(title, className, ...children) {
  return el("section", { class: `panel ${className || ""}` }, el("h3", {}, title), ...children);
}
const missing = (words) => el("p", { class: "missing" }, words);
const percent = (share, digits) => (known(share) ? `${(100 * share).toFixed(digits || 0)} %` : "–");
const whole = (number) => (known(number) ? Math.round(number).toLocaleString("en") : "–");
// Why a part of a card is not there: the study has not come to it, or an older version did not keep it.
const absent = (found, words) =>
  missing(found.run.summary.final ? words : "Not known yet: this comes when the study ends.");
