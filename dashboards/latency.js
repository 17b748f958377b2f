"use strict";
// How long texts take: the spread, and how it grows with a text's length.
const MOST_DOTS = 600;
const times_ = (list) => (list || []).filter((ms) => known(ms) && ms > 0);

// A series is {name, ms, tone, quantiles: {p50, p95, p99} or null}; the first one stands in front.
function spreadPicture(series, width, title) {
  const shown = series.filter((one) => times_(one.ms).length);
  const all = shown.flatMap((one) => times_(one.ms));
  const low = Math.min(...all) * 0.92,
    high = Math.max(...all) * 1.08,
    top = shown.some((one) => one.quantiles) ? 46 : 8,
    height = 144 + top,
    floor = height - 36;
  const x = logScale(low, high, 8, width - 8),
    bins = width > 460 ? 44 : 28;
  const counted = shown.map((one) => binned(times_(one.ms), low, high, bins));
  const y = linearScale(0, Math.max(...counted.flat()), floor, top + 4);
  const bars = counted.map((counts, i) => stepPath(counts, x, y, low, high, floor, shown[i], i)).reverse();
  const marks = shown.flatMap((one, i) => (one.quantiles ? quantileMarks(one, x, floor, i, width) : []));
  return drawing(
    width,
    height,
    title,
    spreadWords(shown),
    xAxis(logTicks(low, high, width / 60), x, floor, top, "ms a text, log scale", width - 8),
    ...bars,
    ...marks,
  );
}
function binned(list, low, high, bins) {
  const counts = new Array(bins).fill(0),
    place = logScale(low, high, 0, bins);
  for (const ms of list) counts[Math.min(bins - 1, Math.max(0, Math.floor(place(ms))))] += 1;
  return counts.map((texts) => texts / list.length);
}
function stepPath(counts, x, y, low, high, floor, one, order) {
  const edge = (i) => x(low * (high / low) ** (i / counts.length));
  const steps = counts.map((share, i) => `V${y(share).toFixed(1)}H${edge(i + 1).toFixed(1)}`).join("");
  return svg("path", {
    d: `M${edge(0).toFixed(1)} ${floor}${steps}V${floor}Z`,
    class: `spread tone-${one.tone ?? order}`,
  });
}
function quantileMarks(one, x, floor, order, width) {
  return ["p50", "p95", "p99"]
    .filter((name) => known(one.quantiles[name]))
    .map((name, i) => {
      const at = x(one.quantiles[name]),
        line = 12 + 13 * i,
        anchor = at > width - 90 ? "end" : "start";
      return svg(
        "g",
        { class: `pin tone-${one.tone ?? order}` },
        svg("line", { x1: at, x2: at, y1: line - 9, y2: floor }),
        svgText(at + (anchor === "end" ? -4 : 4), line, `${name} ${three(one.quantiles[name])} ms`, anchor),
      );
    });
}
const spreadWords = (shown) =>
  shown
    .map((one) => {
      const q = one.quantiles || quantilesOf(times_(one.ms));
      return `${one.name}: half of the texts within ${three(q.p50)} ms, 95 of 100 within ${three(q.p95)} ms, 99 of 100 within ${three(q.p99)} ms.`;
    })
    .join(" ");
function quantilesOf(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), p99: quantile(sorted, 0.99) };
}

// Dots over the number of tokens: the member's round, the teacher's as open squares.
function lengthPicture(card, width) {
  const { latency } = card,
    mine = dots(latency.tokens, latency.ms),
    theirs = dots(latency.tokens, latency.teacher_ms);
  const all = [...mine, ...theirs],
    height = 210,
    floor = height - 36;
  const low = Math.min(...all.map((d) => d[1])) * 0.85,
    high = Math.max(...all.map((d) => d[1])) * 1.15;
  const longest = Math.max(...all.map((d) => d[0])),
    y = logScale(low, high, floor, 22),
    x = linearScale(0, longest, 44, width - 10);
  const draw = (list, shape) => list.map(([tokens, ms]) => shape(x(tokens), y(ms)));
  return drawing(
    width,
    height,
    `Time of ${card.id} by length of the text`,
    "Each dot is a text: tokens to the right, milliseconds upwards. The teacher's are open squares.",
    xAxis(linearTicks(0, longest, width / 80), x, floor, 22, "tokens", width - 8),
    yAxis(logTicks(low, high, 6), y, 44, width - 8, "ms, log scale"),
    ...draw(theirs, (cx, cy) =>
      svg("rect", { x: cx - 2.2, y: cy - 2.2, width: 4.4, height: 4.4, class: "speck tone-teacher" }),
    ),
    ...draw(mine, (cx, cy) => svg("circle", { cx, cy, r: 2.6, class: "speck tone-member" })),
  );
}
function dots(tokens, ms) {
  const pairs = (tokens || [])
    .map((length, i) => [length, (ms || [])[i]])
    .filter(([length, time]) => known(length) && known(time) && time > 0);
  const stride = Math.ceil(pairs.length / MOST_DOTS) || 1;
  return pairs.filter((_, i) => i % stride === 0);
}

function latencyPanels(card, found) {
  const { latency } = card;
  if (!latency)
    return [
      panel(
        "How long it takes",
        "wide",
        absent(found, "This run is of a version that kept mean times only, not the time of each text."),
      ),
    ];
  const said = el("p", { class: "facts" }, ...latencyFacts(latency), sourceMark(latency.predicted, latency.disturbed));
  if (!times_(latency.ms).length) return [panel("How long it takes", "wide", said, missing(noTimes(latency)))];
  const series = spreadSeries(card);
  const spread = panel(
    "How long it takes",
    "",
    said,
    fitted((width) => spreadPicture(series, width, `Times of ${card.id}`), "spread"),
    toneLegend(series),
  );
  if (!dots(latency.tokens, latency.ms).length) return [spread];
  const lengths = panel(
    "By length of the text",
    "",
    fitted((width) => lengthPicture(card, width), "lengths"),
    toneLegend(series),
    folded("The same as a table", lengthTable(latency)),
  );
  return [spread, lengths];
}
const noTimes = (latency) =>
  latency.predicted
    ? "The device was not attached: its mean is predicted, single texts are not."
    : "The times of single texts were not recorded.";
function latencyFacts(latency) {
  const facts = ["mean", "p50", "p95", "p99"].filter((name) => known(latency[name]));
  const shown = facts.map((name) =>
    el("span", {}, `${name} `, el("b", {}, `${latency.predicted ? "~" : ""}${three(latency[name])} ms`)),
  );
  if (latency.rounds)
    shown.push(
      el("span", {}, `${count(latency.texts ?? times_(latency.ms).length, "text")}, ${count(latency.rounds, "round")}`),
    );
  return shown;
}
function spreadSeries(card) {
  const { latency } = card,
    mine = { name: card.id, ms: latency.ms, tone: card.id === "teacher" ? "teacher" : "member", quantiles: latency };
  const theirs =
    card.id === "teacher" ? [] : [{ name: "teacher", ms: latency.teacher_ms, tone: "teacher", quantiles: null }];
  return [mine, ...theirs.filter((one) => times_(one.ms).length)];
}
const toneLegend = (series) =>
  el(
    "ul",
    { class: "legend" },
    ...series.map((one, i) => el("li", {}, el("i", { class: `swatch tone-${one.tone ?? i}` }), one.name)),
  );

// By sixteens of tokens: a row for each that has texts.
function lengthTable(latency) {
  const groups = new Map();
  (latency.tokens || []).forEach((length, i) => {
    const key = Math.ceil(length / 16) * 16;
    groups.set(key, [...(groups.get(key) || []), i]);
  });
  const middle = (list, at) => {
    const some = times_(at.map((i) => (list || [])[i]));
    return some.length ? `${three(quantilesOf(some).p50)} ms` : "–";
  };
  const rows = [...groups]
    .sort((a, b) => a[0] - b[0])
    .map(([key, at]) => [`up to ${key}`, whole(at.length), middle(latency.ms, at), middle(latency.teacher_ms, at)]);
  return plainTable("Median time by length", ["tokens", "texts", "this one", "teacher"], rows);
}
