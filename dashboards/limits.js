"use strict";
// What must hold, and which member is then the one: limits by slider or number, or weights.
const STEPS_OF_SLIDER = 200;
const limitKeys = () => {
  const named = shownRuns().flatMap((run) => (run.objectives || []).map((o) => o.key));
  const usual = named.length ? named : ["bytes", "latency_ms", "score"];
  return [...new Set(["score", ...usual, ...Object.keys(state.limits)])].filter((key) => figure(key));
};
const meetsLimit = (item, key) => {
  const value = figureOf(item, key),
    limit = state.limits[key];
  return !known(limit) || (known(value) && !isBetter(limit, value, key));
};
const meetsLimits = (item) => Object.keys(state.limits).every((key) => meetsLimit(item, key));
const isWhole = (m) => known(m.bytes) && known(m.latency_ms) && known(figureOf(m, "score"));
const limitWords = (key) => `${figure(key).label} ${figure(key).better === "less" ? "at most" : "at least"}`;
// As `autocomp export --pick` chooses: the best score, then the faster one, then the smaller.
const byScore = (a, b) =>
  figureOf(b, "score") - figureOf(a, "score") || a.latency_ms - b.latency_ms || a.bytes - b.bytes;

function spanOf(key) {
  const values = [...shownMembers(), ...shownRuns().flatMap(landmarksOf)].map((m) => figureOf(m, key)).filter(known);
  return values.length ? [Math.min(...values), Math.max(...values)] : null;
}
// Slider position 0 … STEPS_OF_SLIDER, from strictest to off.
function valueAt(key, step) {
  const [low, high] = spanOf(key),
    { log, better } = figure(key),
    part = (better === "less" ? step : STEPS_OF_SLIDER - step) / (STEPS_OF_SLIDER - 1);
  const between = Math.min(1, Math.max(0, better === "less" ? part : part - 1 / (STEPS_OF_SLIDER - 1)));
  return log && low > 0 ? low * (high / low) ** between : low + (high - low) * between;
}
function stepAt(key, value) {
  if (!known(value)) return STEPS_OF_SLIDER;
  const [low, high] = spanOf(key),
    { log, better } = figure(key);
  const part =
    high === low ? 0 : log && low > 0 ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const step = Math.round((better === "less" ? part : 1 - part) * (STEPS_OF_SLIDER - 1));
  return Math.min(STEPS_OF_SLIDER - 1, Math.max(0, step));
}
// Four digits, to the loose side: at its strictest the slider leaves the best member in.
function rounded(key, value) {
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value) || 1)) - 3);
  return Number(((figure(key).better === "less" ? Math.ceil : Math.floor)(value / unit) * unit).toPrecision(12));
}
function setLimit(key, value) {
  const limits = { ...state.limits };
  if (known(value) && Number.isFinite(value)) limits[key] = value;
  else delete limits[key];
  setState({ limits });
}
function limitRow(key) {
  const { unit, per } = figure(key),
    id = `limit-${key}`;
  const slide = (e) =>
    setLimit(
      key,
      Number(e.target.value) >= STEPS_OF_SLIDER ? null : rounded(key, valueAt(key, Number(e.target.value))),
    );
  const type = (e) =>
    setLimit(key, e.target.value.trim() === "" ? null : Number((Number(e.target.value) * per).toPrecision(12)));
  return el(
    "div",
    { class: "limit", "data-key": key },
    el("label", { for: id }, limitWords(key)),
    el(
      "span",
      { class: "typed" },
      el("input", { id, type: "number", step: "any", inputmode: "decimal", placeholder: "any", onchange: type }),
      unit,
    ),
    el("input", {
      type: "range",
      min: 0,
      max: STEPS_OF_SLIDER,
      step: 1,
      oninput: slide,
      "aria-label": `${limitWords(key)}, slider`,
    }),
  );
}
let limitsShown = "";
function drawLimits() {
  const keys = limitKeys().filter(spanOf),
    now = keys.join();
  if (now !== limitsShown || !byId("verdict")) makeLimits(keys);
  limitsShown = now;
  for (const row of document.querySelectorAll(".limit")) fillLimit(row, row.dataset.key);
  for (const row of document.querySelectorAll(".weight input")) row.value = state.weights[row.dataset.key] ?? 0;
  drawVerdict();
}
function fillLimit(row, key) {
  const [typed, slider] = row.querySelectorAll("input"),
    value = state.limits[key],
    { per, unit, better } = figure(key);
  if (document.activeElement !== typed) typed.value = known(value) ? String(Number((value / per).toPrecision(10))) : "";
  if (document.activeElement !== slider || !known(value)) slider.value = stepAt(key, value);
  const words = known(value)
    ? `${better === "less" ? "at most" : "at least"} ${Number((value / per).toPrecision(10))} ${unit}`
    : "any";
  slider.setAttribute("aria-valuetext", words.trim());
  row.classList.toggle("set", known(value));
}
function makeLimits(keys) {
  const others = FIGURES.filter((f) => !keys.includes(f.key) && spanOf(f.key));
  const more = el(
    "select",
    {
      "aria-label": "limit another figure",
      onchange: (e) => e.target.value && setLimit(e.target.value, loosest(e.target.value)),
    },
    el("option", { value: "" }, "limit another figure …"),
    ...others.map((f) => el("option", { value: f.key }, f.label)),
  );
  const reset = el(
    "button",
    { type: "button", class: "small", onclick: () => setState({ limits: {}, weights: {} }) },
    "Reset",
  );
  const weights = el(
    "details",
    { class: "weights", open: Object.keys(state.weights).length > 0 },
    el("summary", {}, "Weigh instead"),
    el(
      "p",
      { class: "hint" },
      "Each figure counts from 0, the best member's, to 1, the worst's (by ratio for sizes and times). The member with the least weighted sum is named.",
    ),
    ...keys.map(weightRow),
  );
  clear(byId("limits")).append(
    el("h3", {}, "What must hold"),
    ...keys.map(limitRow),
    el("div", { class: "buttons" }, others.length ? more : null, reset),
    el("div", { id: "verdict", role: "status", "aria-live": "polite" }),
    weights,
  );
}
const loosest = (key) => spanOf(key)[figure(key).better === "less" ? 1 : 0];
function weightRow(key) {
  const set = (e) => {
    const weights = { ...state.weights, [key]: Number(e.target.value) };
    setState({ weights: Object.fromEntries(Object.entries(weights).filter(([, w]) => w > 0)) });
  };
  return el(
    "label",
    { class: "weight" },
    figure(key).label,
    el("input", { type: "range", min: 0, max: 1, step: 0.05, "data-key": key, oninput: set }),
  );
}
