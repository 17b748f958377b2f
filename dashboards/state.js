"use strict";
// What a person has set on the page, kept in the address: `#x=latency_ms&y=score&limits=score:0.93,latency_ms:2&pick=r0/m03`.
const FIRST = {
  x: "latency_ms",
  y: "score",
  c: null,
  limits: {},
  weights: {},
  pick: null,
  compare: [],
  dominated: false,
  trials: true,
};
const MOST_AT_ONCE = 4;
const state = { ...FIRST, runs: runs.map((run) => run.key) };
const stateListeners = [];
const onState = (fn) => stateListeners.push(fn);
// Steps that a person would want to go back from; the rest replaces the address.
const STEPS = ["pick", "compare", "x", "y", "c"];
const HASH = {
  x: { read: asFigure },
  y: { read: asFigure },
  c: { read: asFigure },
  limits: { read: asNumbers, write: numbersText },
  weights: { read: asNumbers, write: numbersText },
  pick: { read: asRef },
  compare: { read: asRefs, write: (refs) => refs.join(",") },
  hidden: { read: (text) => text.split(",").filter((key) => runs.some((run) => run.key === key)) },
  dominated: { read: (text) => text === "1", write: (on) => (on ? "1" : "") },
  trials: { read: (text) => text !== "0", write: (on) => (on ? "" : "0") },
};

function setState(part) {
  Object.assign(state, part);
  const address = location.pathname + location.search + addressOf();
  if (STEPS.some((key) => key in part)) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  stateListeners.forEach((fn) => fn(part));
}
function addressOf() {
  const hidden = runs
    .map((run) => run.key)
    .filter((key) => !state.runs.includes(key))
    .join(",");
  const parts = Object.entries({ ...state, hidden }).flatMap(([key, value]) => {
    if (!HASH[key] || value === FIRST[key]) return [];
    const text = HASH[key].write ? HASH[key].write(value) : value || "";
    return text ? [`${key}=${encodeURIComponent(text).replace(/%(2F|3A|2C)/g, decodeURIComponent)}`] : [];
  });
  return parts.length ? `#${parts.join("&")}` : "";
}
// What an address does not say, or says wrongly, is as at first.
function readAddress() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [key, text] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
    if (!Object.hasOwn(HASH, key)) continue;
    const value = HASH[key].read(unescaped(text));
    if (known(value)) found[key] = value;
  }
  const { hidden = [], ...rest } = found;
  const left = runs.map((run) => run.key).filter((key) => !hidden.includes(key));
  Object.assign(state, { ...FIRST, limits: {}, weights: {}, compare: [] }, rest, { runs: left });
}
function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
function asFigure(text) {
  return figure(text) ? text : null;
}
function asNumbers(text) {
  const pairs = text.split(",").map((part) => part.split(":"));
  return Object.fromEntries(
    pairs
      .filter(([key, value]) => figure(key) && value && Number.isFinite(Number(value)))
      .map(([key, value]) => [key, Number(value)]),
  );
}
function numbersText(numbers) {
  return Object.entries(numbers)
    .map(([key, value]) => `${key}:${value}`)
    .join(",");
}
function asRef(text) {
  return /^r\d+\/[\w.-]+$/.test(text) && runs.some((run) => run.key === text.split("/")[0]) ? text : null;
}
function asRefs(text) {
  return [...new Set(text.split(",").filter((ref) => asRef(ref) && memberOf(ref)))].slice(0, MOST_AT_ONCE);
}
function toggleCompared(ref) {
  const others = state.compare.filter((r) => r !== ref);
  setState({ compare: others.length < state.compare.length ? others : [...others.slice(1 - MOST_AT_ONCE), ref] });
}
readAddress();
addEventListener("popstate", () => {
  const before = { ...state };
  readAddress();
  const changed = Object.fromEntries(
    Object.entries(state).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key])),
  );
  if (Object.keys(changed).length) stateListeners.forEach((fn) => fn(changed));
});
