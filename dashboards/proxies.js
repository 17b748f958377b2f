"use strict";
// How well cheap figures foretold dear ones: a small scatter for each pair, its rank correlation, and what that means.
const MOST_PAIRS = 600;
const FEW_PAIRS = 8;
const LEAST_IDENTITY_PX = 90;

function drawProxies(box) {
  const drawn = JSON.stringify([
    state.runs,
    state.pick,
    shownRuns().map((run) => (run.proxies || []).map((p) => [p.name, p.ids.length, p.rank_correlation])),
  ]);
  if (box.dataset.drawn === drawn) return;
  box.dataset.drawn = drawn;
  const panels = shownRuns().flatMap((run) => (run.proxies || []).map((proxy) => proxyPanel(run, proxy)));
  const none =
    "Nothing to compare yet: this needs three members with final figures, or three students that were trained on.";
  clear(box).append(panels.length ? el("div", { class: "proxies-grid" }, ...panels) : missing(none));
}
function proxyPanel(run, proxy) {
  const title = proxy.name[0].toUpperCase() + proxy.name.slice(1);
  const of =
    runs.length > 1
      ? [el("p", { class: "hint" }, el("span", { class: `mark run-${runs.indexOf(run) % SHAPES.length}` }), run.name)]
      : [];
  const picture = fitted((width) => proxyPicture(run, proxy, width), "proxy");
  return panel(
    title,
    "proxy-panel",
    ...of,
    picture,
    el("p", {}, el("b", {}, correlationText(proxy)), ` ${proxyWords(proxy)}`),
    el("p", { class: "hint" }, shiftWords(proxy)),
  );
}
const correlationText = (proxy) =>
  `Rank correlation ${known(proxy.rank_correlation) ? proxy.rank_correlation.toFixed(2).replace("-", "−") : "unknown"}:`;
function proxyWords({ rank_correlation: rank, ids, x_label, y_label }) {
  const few = ids.length < FEW_PAIRS ? ` There are only ${ids.length} pairs: another run may say otherwise.` : "";
  const ahead = `who is ahead in the ${plainLabel(x_label)}`;
  if (!known(rank)) return "all are equal in one of the two, so no order can be compared.";
  if (rank >= 0.9) return `${ahead} is mostly ahead in the ${plainLabel(y_label)} too.${few}`;
  if (rank >= 0.7) return `${ahead} is often ahead in the ${plainLabel(y_label)} too; close ones change places.${few}`;
  if (rank >= 0.4) return `${ahead} is only roughly ahead in the ${plainLabel(y_label)}; many change places.${few}`;
  return `${ahead} says little about the ${plainLabel(y_label)}.${few}`;
}
const plainLabel = (label) => label.replace(/, [^,]*$/, "");
const unitOf = (label) => (label.match(/, ([^,]*)$/) || ["", ""])[1];
// By how much the second figure differs from the first: the median of all pairs.
function shiftWords({ x, y, x_label, y_label }) {
  const isTime = unitOf(x_label) === "ms";
  if (unitOf(x_label) !== unitOf(y_label)) return "";
  const shifts = x
    .map((value, i) => (isTime ? y[i] / value : y[i] - value))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  if (!shifts.length) return "";
  const middle = quantile(shifts, 0.5),
    words = `Over ${count(shifts.length, "pair")}, the ${plainLabel(y_label)} is typically`;
  if (isTime) return `${words} ${times(middle)} of the ${plainLabel(x_label)}.`;
  return Math.abs(middle) < 0.0005
    ? `${words} the same.`
    : `${words} ${(100 * Math.abs(middle)).toFixed(1)} points ${middle < 0 ? "lower" : "higher"}.`;
}

function widened(list, share) {
  const low = Math.min(...list),
    high = Math.max(...list),
    air = (high - low || Math.abs(high) || 1) * share;
  return [low - air, high + air];
}
// Both axes the same where that wastes less than half of the picture.
function proxyRanges({ x, y, x_label, y_label }) {
  const across = widened(x, 0.08),
    up = widened(y, 0.08),
    all = widened([...x, ...y], 0.06);
  const span = ([low, high]) => high - low;
  const same = unitOf(x_label) === unitOf(y_label) && span(all) < 2 * Math.min(span(across), span(up));
  return same ? [all, all] : [across, up];
}
function proxyPicture(run, proxy, width) {
  const height = Math.min(250, Math.max(190, width * 0.62)),
    floor = height - 36,
    [across, up] = proxyRanges(proxy);
  const x = linearScale(...across, 52, width - 10),
    y = linearScale(...up, floor, 20);
  const same = unitOf(proxy.x_label) === unitOf(proxy.y_label) ? [identity(across, up, x, y)] : [];
  const stride = Math.ceil(proxy.ids.length / MOST_PAIRS) || 1,
    many = proxy.ids.length > 60;
  const rows = proxy.ids.map((_, i) => i).filter((i) => i % stride === 0);
  return drawing(
    width,
    height,
    proxy.name,
    `${count(proxy.ids.length, "pair")}: ${proxy.x_label} to the right, ${proxy.y_label} upwards. ${correlationText(proxy)} ${proxyWords(proxy)}`,
    xAxis(linearTicks(...across, width / 90), x, floor, 20, proxy.x_label, width - 8),
    yAxis(linearTicks(...up, 5), y, 52, width - 8, proxy.y_label),
    ...same,
    ...rows.map((i) => pairDot(run, proxy, i, x(proxy.x[i]), y(proxy.y[i]), many)),
  );
}
// Where both figures are the same, as far as it lies inside the picture.
function identity(across, up, x, y) {
  const low = Math.max(across[0], up[0]),
    high = Math.min(across[1], up[1]);
  if (x(high) - x(low) < LEAST_IDENTITY_PX) return null;
  const at = low + 0.25 * (high - low);
  return svg(
    "g",
    {},
    svg("line", { x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "identity" }),
    svgText(x(at) + 5, y(at) + 14, "the same", "start", "tick same"),
  );
}
function pairDot(run, proxy, i, cx, cy, many) {
  const id = proxy.ids[i],
    ref = `${run.key}/${id}`,
    isMember = Boolean(memberOf(ref));
  const name = `${id}: ${tickText(proxy.x[i])} → ${tickText(proxy.y[i])}`;
  const dot = svg(
    "circle",
    {
      cx,
      cy,
      r: many ? 2.4 : 4.5,
      class: `pair-dot run-line-${runs.indexOf(run) % SHAPES.length}${state.pick === ref ? " picked" : ""}${many ? " many" : ""}`,
    },
    svg("title", {}, name),
  );
  if (isMember) dot.addEventListener("click", () => setState({ pick: ref }));
  if (isMember) dot.classList.add("opens");
  return dot;
}
