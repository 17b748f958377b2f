"use strict";
// The member that limits or weights lead to, in a sentence, and the command that exports it.
function drawVerdict() {
  const members = shownMembers().filter(isWhole);
  const said = !members.length
    ? [el("p", {}, "No members yet.")]
    : Object.keys(state.weights).length
      ? weighed(members)
      : limited(members);
  const box = byId("verdict"),
    key = said.map((node) => node.textContent).join("|");
  if (box.dataset.said === key) return; // a screen reader hears only what changed
  box.dataset.said = key;
  clear(box).append(...said);
}
function memberButton(item) {
  return el("button", { type: "button", class: "link", onclick: () => setState({ pick: item.ref }) }, nameOf(item));
}
const figuresText = (m) => `${metric} ${shownFigure(m, "score")}, ${inMs(m.latency_ms, m)}, ${size(m.bytes)}`;
function limited(members) {
  const limits = Object.keys(state.limits);
  if (!limits.length) return unlimited(members);
  const fitting = members.filter(meetsLimits).sort(byScore);
  if (!fitting.length) return nothing(members, limits);
  const [best, second] = fitting;
  const why =
    fitting.length === 1
      ? "the only one that meets every limit"
      : `the best ${metric} of the ${fitting.length} that meet every limit`;
  return [
    el("p", { class: "pick" }, memberButton(best), `: ${why} (${figuresText(best)}).`),
    ...runnerUp(best, second),
    command(best, limits),
  ];
}
function unlimited(members) {
  const knees = shownRuns().flatMap((run) => membersOf(run).filter((m) => m.id === run.knee));
  const said = knees.map((m) =>
    el(
      "p",
      { class: "pick" },
      memberButton(m),
      `: the knee; past it, a little more of one figure costs much of another (${figuresText(m)}).`,
    ),
  );
  const best = [...members].sort(byScore)[0];
  return [
    ...said,
    ...(best && !knees.some((m) => m.ref === best.ref)
      ? [el("p", {}, "Best ", metric, ": ", memberButton(best), ` (${figuresText(best)}).`)]
      : []),
    el("p", { class: "hint" }, "Set a limit, and the best member within it is named."),
    ...(knees.length ? [command(knees[0], [])] : []),
  ];
}
function runnerUp(best, second) {
  if (!second) return [];
  return [el("p", {}, "Runner-up: ", memberButton(second), `, ${differences(second, best)}.`)];
}
// `0.3 points less, 1.8 times faster and 1.2 times larger`.
function differences(a, b) {
  const gap = 100 * (figureOf(a, "score") - figureOf(b, "score")),
    words = [];
  words.push(
    Math.abs(gap) < 0.005
      ? `the same ${metric}`
      : `${Math.abs(gap).toFixed(Math.abs(gap) < 0.1 ? 2 : 1)} points ${gap < 0 ? "less" : "more"}`,
  );
  for (const [key, better, worse] of [
    ["latency_ms", "faster", "slower"],
    ["bytes", "smaller", "larger"],
  ]) {
    const ratio = a[key] / b[key];
    if (Math.abs(ratio - 1) > 0.01)
      words.push(`${three(Math.max(ratio, 1 / ratio))} times ${ratio < 1 ? better : worse}`);
  }
  return listed(words);
}
function excess(m, key) {
  const value = figureOf(m, key),
    limit = state.limits[key];
  return meetsLimit(m, key) ? 0 : known(value) ? Math.abs(value - limit) / Math.max(Math.abs(limit), 1e-12) : Infinity;
}
function nothing(members, limits) {
  const left = limits
    .map((key) => ({ key, count: members.filter((m) => limits.every((k) => k === key || meetsLimit(m, k))).length }))
    .sort((a, b) => b.count - a.count)[0];
  const total = (m) => limits.reduce((sum, key) => sum + excess(m, key), 0);
  const near = [...members].sort((a, b) => total(a) - total(b) || byScore(a, b))[0];
  const loose = left.count
    ? `Without "${limitWords(left.key)} ${shown(left.key)}" ${left.count === 1 ? "one member would" : `${left.count} members would`} fit.`
    : "No single limit is to blame.";
  return [
    el("p", { class: "pick" }, `None of ${members.length} members meets every limit.`),
    el("p", {}, loose),
    el("p", {}, "Nearest: ", memberButton(near), ` (${figuresText(near)}).`),
  ];
}
const shown = (key) => figure(key).show(state.limits[key], {});

function weighed(members) {
  const fitting = members.filter(meetsLimits),
    pool = fitting.length ? fitting : members,
    keys = Object.keys(state.weights);
  const cost = (m) => keys.reduce((sum, key) => sum + state.weights[key] * placeBetween(m, key, members), 0);
  const [best, second] = [...pool].sort((a, b) => cost(a) - cost(b) || byScore(a, b));
  const told = keys
    .map((key) => `${state.weights[key]} × ${figure(key).label} ${placeBetween(best, key, members).toFixed(2)}`)
    .join(" + ");
  return [
    el(
      "p",
      { class: "pick" },
      memberButton(best),
      `: the least weighted sum, ${told} = ${cost(best).toFixed(3)} (${figuresText(best)}).`,
    ),
    ...(second
      ? [
          el(
            "p",
            {},
            "Runner-up: ",
            memberButton(second),
            ` at ${cost(second).toFixed(3)}, ${differences(second, best)}.`,
          ),
        ]
      : []),
    command(best, []),
  ];
}
// 0 for the best member's figure, 1 for the worst's.
function placeBetween(m, key, members) {
  const put = (value) => (figure(key).log ? Math.log(Math.max(value, 1e-12)) : value),
    values = members
      .map((one) => figureOf(one, key))
      .filter(known)
      .map(put);
  const low = Math.min(...values),
    high = Math.max(...values),
    value = figureOf(m, key);
  if (!known(value) || high === low) return known(value) ? 0 : 1;
  return (figure(key).better === "less" ? put(value) - low : high - put(value)) / (high - low);
}
// Limits of one run say what was asked; else the member's own name does.
function command(best, limits) {
  const sign = (key) => (figure(key).better === "less" ? "<=" : ">=");
  const asked =
    limits.length && runs.length === 1
      ? limits.map((key) => `${key}${sign(key)}${state.limits[key]}`).join(",")
      : best.id;
  const text = `autocomp export ${quoted(best.run.path)} --pick ${quoted(asked)} --out ${quoted(best.id)}`;
  return commandLine(text);
}
