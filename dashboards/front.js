"use strict";
// The front in two figures, a third one by colour if wanted. Members and landmarks are plotly's, trials lie on a canvas behind.
const SHAPES = ["circle", "triangle-up", "triangle-down", "pentagon", "star-triangle-up", "hexagon"];
const REMOVED = ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d", "autoScale2d"];
const runTone = (run) => colour(`run-${runs.indexOf(run) % SHAPES.length}`);
const runShape = (run) => SHAPES[runs.indexOf(run) % SHAPES.length];
const axisTitle = (key) => {
  const { label, unit, log } = figure(key),
    split = hasSplits(key) ? splitWords() : "";
  return `${label}${unit ? `, ${unit}` : ""}${split}${log ? " (log scale)" : ""}`;
};
function splitWords() {
  const finals = new Set(shownRuns().map((run) => run.summary.final));
  return finals.size > 1 ? "" : finals.has(true) ? " (held-out split; candidates: search split)" : " (search split)";
}
const scaled = (item, key) => (known(figureOf(item, key)) ? figureOf(item, key) / figure(key).per : null);
const isShown = (item) => known(figureOf(item, state.x)) && known(figureOf(item, state.y));

// Whether nothing shown is at least as good in both figures and better in one.
function undominated(members) {
  return members.filter((m) => !members.some((other) => beats(other, m)));
}
function beats(a, b) {
  const keys = state.c ? [state.x, state.y, state.c] : [state.x, state.y];
  const pairs = keys.map((key) => [figureOf(a, key), figureOf(b, key), key]).filter(([p, q]) => known(p) && known(q));
  return pairs.every(([p, q, key]) => !isBetter(q, p, key)) && pairs.some(([p, q, key]) => isBetter(p, q, key));
}

function hoverOf(item) {
  const facts = [
    `${size(item.bytes)} (${times(item.times_smaller)})`,
    `${inMs(item.latency_ms, item)} (${times(item.times_faster)})`,
  ];
  const more = [state.x, state.y, state.c].filter((key) => key && !["bytes", "latency_ms", "score"].includes(key));
  const lines = [
    `<b>${safe(nameOf(item))}</b>`,
    wrapped(item.describe),
    facts.join(" · "),
    `${safe(metric)} ${shownFigure(item, "score")}`,
  ];
  return [...lines, ...more.map((key) => `${safe(figure(key).label)} ${shownFigure(item, key)}`)].join("<br>");
}
function markers(items, extra) {
  const shown = items.filter(isShown);
  return {
    type: "scatter",
    mode: "markers",
    x: shown.map((m) => scaled(m, state.x)),
    y: shown.map((m) => scaled(m, state.y)),
    customdata: shown.map((m) => m.ref),
    text: shown.map(hoverOf),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: false,
    ...extra,
  };
}
function errorBars(items, key, tone) {
  const array = items.filter(isShown).map((m) => (meetsLimits(m) ? errorOf(m, key) / figure(key).per : 0));
  return { type: "data", array, visible: array.some((e) => e > 0), thickness: 1, width: 0, color: tone };
}
function markerOf(run, items, tone, front) {
  const shown = items.filter(isShown),
    fits = shown.map((m) => meetsLimits(m));
  const predicted = shown.map((m) => isPredicted(m, state.x) || isPredicted(m, state.y));
  const base = {
    size: 11,
    symbol: predicted.map((p) => runShape(run) + (p ? "-open" : "")),
    line: { width: 1, color: colour("card") },
    opacity: fits.map((fit) => (fit ? 1 : 0.22) * (front ? 1 : 0.4)),
  };
  if (!state.c) return { ...base, color: tone };
  const values = shown.map((m) => figureOf(m, state.c)),
    log = figure(state.c).log;
  return {
    ...base,
    color: values.map((v) => (known(v) ? (log ? Math.log10(v / figure(state.c).per) : v) : null)),
    coloraxis: "coloraxis",
  };
}
function staircase(run, members, tone) {
  const sorted = undominated(members.filter(isShown)).sort((a, b) => figureOf(a, state.x) - figureOf(b, state.x));
  const shape = figure(state.x).better === "less" ? "hv" : "vh";
  return {
    type: "scatter",
    mode: "lines",
    x: sorted.map((m) => scaled(m, state.x)),
    y: sorted.map((m) => scaled(m, state.y)),
    hoverinfo: "skip",
    showlegend: false,
    line: { shape, color: tone, width: 1.5, dash: runs.indexOf(run) ? "dash" : "solid" },
    opacity: 0.6,
  };
}
function runTraces(run) {
  const members = membersOf(run),
    front = undominated(members.filter(isShown)),
    others = members.filter((m) => !front.includes(m));
  const tone = runTone(run),
    knee = members.filter((m) => m.id === run.knee);
  const ring = { size: 21, symbol: "circle-open", color: tone, line: { width: 1.6 } };
  return [
    ...(state.c ? [] : [staircase(run, members, tone)]),
    ...(state.dominated ? [markers(others, { marker: markerOf(run, others, tone, false) })] : []),
    markers(front, {
      marker: markerOf(run, front, tone, true),
      error_y: errorBars(front, state.y, tone),
      error_x: errorBars(front, state.x, tone),
    }),
    markers(knee, {
      marker: ring,
      hoverinfo: "skip",
      hovertemplate: null,
      mode: "markers+text",
      text: knee.map(() => "knee"),
      textposition: "bottom right",
      textfont: { color: tone, size: 11 },
    }),
    ...landmarksOf(run).map((mark) => landmarkTrace(mark, tone)),
  ];
}
function landmarkTrace(mark, tone) {
  const symbol = { teacher: "diamond", plain_int8: "square" }[mark.id] || "x";
  const own = runs.length > 1 ? tone : colour(mark.id === "teacher" ? "teacher" : "plain");
  return markers([mark], {
    mode: "markers+text",
    textposition: "top left",
    texttemplate: safe(nameOf(mark)),
    textfont: { color: own, size: 11 },
    marker: {
      size: 12,
      symbol: symbol + (isPredicted(mark, state.x) || isPredicted(mark, state.y) ? "-open" : ""),
      color: own,
      line: { width: 1, color: colour("card") },
    },
  });
}
function chosenTrace() {
  const chosen = [[state.pick, "ink", "circle-open"], ...state.compare.map((ref) => [ref, "soft", "square-open"])];
  const marks = chosen.map(([ref, ...look]) => [memberOf(ref), ...look]).filter(([found]) => found);
  return marks.map(([{ member, run, ref }, tone, symbol]) =>
    markers([{ ...member, run, ref }], {
      hoverinfo: "skip",
      hovertemplate: null,
      marker: { size: 19, symbol, color: colour(tone), line: { width: 2 } },
    }),
  );
}

// Hopeless candidates must not squeeze the front: the first view is of members and landmarks.
function firstView(key) {
  const drawn = shownRuns().flatMap((run) =>
    state.dominated ? membersOf(run) : undominated(membersOf(run).filter(isShown)),
  );
  const items = [...drawn, ...shownRuns().flatMap(landmarksOf)].filter(isShown);
  const ends = items.flatMap((m) => [
    scaled(m, key) - errorOf(m, key) / figure(key).per,
    scaled(m, key) + errorOf(m, key) / figure(key).per,
  ]);
  if (!ends.length) return undefined;
  if (state.trials)
    ends.push(
      ...shownRuns()
        .map((run) => goodEnd(run, key))
        .filter(known)
        .map((v) => v / figure(key).per),
    );
  const log = figure(key).log,
    put = (v) => (log ? Math.log10(Math.max(v, 1e-9)) : v);
  const usable = log ? [...items.map((m) => scaled(m, key)), ...ends.slice(2 * items.length)] : ends,
    low = put(Math.min(...usable)),
    high = put(Math.max(...usable));
  const air = Math.max(0.09 * (high - low), log ? 0.05 : 0.002);
  return [low - air, high + air];
}
// Shades what a limit leaves out.
function limitShapes() {
  return [
    ["x", state.x],
    ["y", state.y],
  ]
    .filter(([, key]) => known(state.limits[key]))
    .map(([axis, key]) => {
      const at = state.limits[key] / figure(key).per,
        less = figure(key).better === "less",
        log = figure(key).log;
      const beyond = less ? (log ? at * 1e6 : 1e12) : log ? at / 1e6 : -1e12;
      const span =
        axis === "x"
          ? { x0: at, x1: beyond, y0: 0, y1: 1, xref: "x", yref: "paper" }
          : { y0: at, y1: beyond, x0: 0, x1: 1, yref: "y", xref: "paper" };
      return {
        type: "rect",
        layer: "below",
        line: { width: 1, color: colour("soft"), dash: "dot" },
        fillcolor: colour("soft"),
        opacity: 0.12,
        ...span,
      };
    });
}
function axisLayout(key) {
  const { log } = figure(key);
  return {
    title: { text: safe(axisTitle(key)), standoff: 8 },
    type: log ? "log" : "linear",
    range: firstView(key),
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zeroline: false,
    automargin: true,
    ...(log ? { dtick: "D2", tickformat: "~g" } : { tickformat: ".4~g" }),
  };
}
function colourBar() {
  const { log } = figure(state.c),
    ticks = log ? [-3, -2, -1, 0, 1, 2, 3].flatMap((p) => [1, 2, 5].map((d) => d * 10 ** p)) : null;
  const shown = log
    ? { tickvals: ticks.map(Math.log10), ticktext: ticks.map((t) => `${Number(t.toPrecision(3))}`) }
    : {};
  return {
    colorscale: "Cividis",
    reversescale: figure(state.c).better === "less",
    colorbar: { title: { text: safe(axisTitle(state.c)), side: "right" }, thickness: 12, outlinewidth: 0, ...shown },
  };
}
function layout() {
  const text = { family: "system-ui, sans-serif", size: 12, color: colour("ink") };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: text,
    margin: { l: 60, r: 24, t: 20, b: 56 },
    hovermode: "closest",
    showlegend: false,
    hoverlabel: { align: "left", bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "pan",
    uirevision: `${state.x} ${state.y}`,
    xaxis: axisLayout(state.x),
    yaxis: axisLayout(state.y),
    shapes: limitShapes(),
    ...(state.c ? { coloraxis: colourBar() } : {}),
  };
}

let chart;
function drawFront() {
  if (!chart) makeFront();
  const traces = [...shownRuns().flatMap(runTraces), ...chosenTrace()];
  // Plotly offers to upload charts to its makers' server: this page sends nothing anywhere.
  const options = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtonsToRemove: REMOVED };
  Plotly.react(chart, traces, layout(), options);
  if (!chart.dataset.drawn) listenToChart();
  drawTrials();
  drawControls();
}
function makeFront() {
  const box = byId("front");
  chart = el("div", { id: "chart", class: "chart", role: "img" });
  const stage = el(
    "div",
    { class: "stage" },
    el("canvas", { id: "trials", "aria-hidden": "true" }),
    chart,
    el("p", { id: "tip", role: "tooltip", hidden: true }),
  );
  box.append(
    el("div", { id: "controls", class: "controls" }),
    el("p", { id: "front-hint", class: "hint" }),
    stage,
    el("div", { id: "legend", class: "legend" }),
  );
}
function listenToChart() {
  chart.dataset.drawn = "yes";
  chart.on("plotly_click", ({ points: [point] }) => point.customdata && setState({ pick: point.customdata }));
  for (const name of ["plotly_relayouting", "plotly_relayout", "plotly_afterplot"]) chart.on(name, drawTrials);
  followPointer(chart);
  performance.mark("first-chart");
}
