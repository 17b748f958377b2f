"use strict";
// All measured candidates, faint, on a canvas behind the chart: tens of thousands are drawn in a few milliseconds.
const NEAR_PX = 9;
const placesOf = new Map();

// Where trials lie along an axis: logarithms on a log axis; kept until the run has more of them.
function places(run, key) {
  const name = `${run.key} ${key}`,
    values = column(run, key),
    kept = placesOf.get(name);
  if (kept && kept.of === values) return kept.places;
  const { log, per } = figure(key);
  const made = Float64Array.from(values, (v) => (log ? Math.log10(v / per) : v / per));
  placesOf.set(name, { of: values, places: made });
  return made;
}
// Pixels of a value on an axis: `a * value + b`. While a person drags, plotly's own range is the moving one.
function scaleOf(axis, flips) {
  const [low, high] = axis.range,
    per = axis.length / (high - low);
  return flips ? { a: -per, b: axis.start + axis.length + low * per } : { a: per, b: axis.start - low * per };
}
function scales() {
  const axes = axesOf(chart);
  return axes && { x: scaleOf(axes.x, false), y: scaleOf(axes.y, true), axes };
}
const drawTrials = once(() => {
  const found = scales(),
    canvas = byId("trials");
  if (!found) return;
  const ratio = window.devicePixelRatio || 1,
    { clientWidth: width, clientHeight: height } = chart;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!state.trials) return;
  const axes = found.axes;
  pen.save();
  pen.beginPath();
  pen.rect(axes.x.start, axes.y.start, axes.x.length, axes.y.length);
  pen.clip();
  for (const run of shownRuns()) drawRun(pen, run, found);
  pen.restore();
});
function drawRun(pen, run, { x, y }) {
  const xs = places(run, state.x),
    ys = places(run, state.y),
    out = outsideLimits(run);
  const many = run.trials.count > 4000,
    side = many ? 2.4 : 3.4;
  pen.fillStyle = runs.length > 1 ? runTone(run) : colour("trial");
  for (const faint of out ? [true, false] : [false]) {
    pen.globalAlpha = (faint ? 0.12 : 0.42) * (many ? 0.8 : 1);
    for (let i = 0; i < xs.length; i++) {
      if (Boolean(out && out[i]) !== faint) continue;
      pen.fillRect(x.a * xs[i] + x.b - side / 2, y.a * ys[i] + y.b - side / 2, side, side);
    }
  }
}
// 1 for every trial that breaks a limit; null while there is none.
function outsideLimits(run) {
  const limits = Object.entries(state.limits);
  if (!limits.length) return null;
  const out = new Uint8Array(run.trials.count);
  for (const [key, limit] of limits) {
    const values = column(run, key),
      less = figure(key).better === "less";
    for (let i = 0; i < out.length; i++) if (!(less ? values[i] <= limit : values[i] >= limit)) out[i] = 1;
  }
  return out;
}
// The figure of the better end of the trials: most of those that are any good lie on this side of it.
function goodEnd(run, key) {
  const values = column(run, key)
    .filter((v) => !Number.isNaN(v))
    .sort();
  return values.length ? values[Math.round((values.length - 1) * (figure(key).better === "less" ? 0.05 : 0.95))] : null;
}
// The trial nearest to a point of the chart, if one is near.
function nearestTrial(px, py) {
  const found = state.trials && scales();
  let best = null,
    least = NEAR_PX * NEAR_PX;
  for (const run of found ? shownRuns() : []) {
    const xs = places(run, state.x),
      ys = places(run, state.y);
    for (let i = 0; i < xs.length; i++) {
      const dx = found.x.a * xs[i] + found.x.b - px,
        dy = found.y.a * ys[i] + found.y.b - py,
        d = dx * dx + dy * dy;
      if (d < least) [least, best] = [d, { run, row: i }];
    }
  }
  return best;
}

// The member or landmark at a point of the chart: what is drawn, whatever plotly thinks the pointer is over.
function nearestMember(px, py) {
  const axes = axesOf(chart);
  if (!axes) return null;
  const marks = chart.data.flatMap((t) => (t.customdata || []).map((ref, i) => ({ ref, x: t.x[i], y: t.y[i] })));
  const away = ({ x, y }) => Math.hypot(axes.x.pixelOf(x) - px, axes.y.pixelOf(y) - py);
  const near = marks.map((m) => ({ ref: m.ref, away: away(m) })).sort((a, b) => a.away - b.away)[0];
  return near && near.away < NEAR_PX ? near.ref : null;
}

// Plotly says what of its own is under the pointer; elsewhere a trial may be.
function followPointer(box) {
  let onMember = null,
    at = null,
    pressed = null;
  const look = once(() => showTip(onMember || !at ? null : nearestTrial(at.x, at.y), at));
  const placeOf = (event) => {
    const frame = box.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  };
  box.on("plotly_hover", ({ points: [point] }) => {
    onMember = point.customdata || null;
    look();
  });
  box.on("plotly_unhover", () => {
    onMember = null;
    look();
  });
  box.addEventListener(
    "pointermove",
    (event) => {
      at = placeOf(event);
      look();
    },
    true,
  );
  box.addEventListener("pointerleave", () => {
    at = null;
    look();
  });
  box.addEventListener(
    "pointerdown",
    (event) => {
      pressed = placeOf(event);
    },
    true,
  );
  addEventListener(
    "pointerup",
    (event) => {
      const here = placeOf(event),
        still = pressed && Math.hypot(here.x - pressed.x, here.y - pressed.y) < 4;
      const trial = still && !onMember && !event.shiftKey ? nearestTrial(here.x, here.y) : null;
      pressed = null;
      const member = still && event.shiftKey ? nearestMember(here.x, here.y) : null; // plotly tells of no click with shift
      if (member) toggleCompared(member);
      if (trial) pickTrial(trial);
    },
    true,
  );
}
// A trial that is a member has the member's card; of others only a page that is served knows more.
function pickTrial({ run, row }) {
  const id = run.trials.id[row],
    member = run.trials.member[id];
  if (member) setState({ pick: `${run.key}/${member}` });
  else if (page.live) setState({ pick: `${run.key}/${id}` });
}
function showTip(found, at) {
  const tip = byId("tip");
  tip.hidden = !found;
  if (!found) return;
  const trial = trialOf(found.run, found.row);
  const facts = [state.x, state.y, state.c]
    .filter(Boolean)
    .map((key) => `${figure(key).label} ${figure(key).show(trial[key], trial)}`);
  const steps = trial.rung < 0 ? "not trained" : `rung ${trial.rung + 1}`;
  clear(tip).append(
    el("b", {}, `${trial.id}${runs.length > 1 ? ` of ${found.run.name}` : ""}`),
    ` · ${steps}`,
    el("br"),
    facts.join(" · "),
    el("br"),
    changedKnobs(found),
  );
  const room = tip.parentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(4, Math.min(at.x + 14, room))}px`;
  tip.style.top = `${Math.max(4, at.y - tip.offsetHeight - 12)}px`;
}
function changedKnobs({ run, row }) {
  const names = Object.keys(run.trials.knobs).filter((name) => run.trials.knobs[name].values.length > 1);
  const told = names.map((name) => [name, knobOf(run, name, row)]).filter(([, value]) => known(value));
  return told
    .slice(0, 9)
    .map(([name, value]) => `${name} ${value}`)
    .join(" · ");
}
