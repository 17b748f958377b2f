"use strict";
// What the page relies on inside plotly, all of it here: where the chart's axes lie, which no documented call tells.
// Read for plotly.js 4.1, and held by tests/packaging/test_insides.py; where it is not so, no candidates are drawn.

// One axis: where it starts and how long it is in pixels of the chart, its range, and the pixel of a value along it.
function axisOf(inner) {
  return { start: inner._offset, length: inner._length, range: inner.range, pixelOf: (v) => inner.d2p(v) + inner._offset };
}
// Both axes as they are drawn just now, `{x, y}`; null before the chart is drawn.
function axesOf(chart) {
  const full = chart && chart._fullLayout;
  return full && full.xaxis && full.xaxis._length ? { x: axisOf(full.xaxis), y: axisOf(full.yaxis) } : null;
}
