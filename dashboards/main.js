"use strict";
// Everything drawn once, then what a change concerns.
const PARTS = [
  { draw: drawHead, on: ["runs"] },
  { draw: drawWarnings, on: ["runs"] },
  { draw: drawHeadline, on: ["runs"] },
  { draw: drawFront, on: ["x", "y", "c", "limits", "pick", "compare", "runs", "dominated", "trials"] },
  { draw: drawLimits, on: ["limits", "weights", "runs"] },
  { draw: drawMembers, on: ["limits", "pick", "compare", "runs"] },
  { draw: drawKnobs, on: ["runs", "pick"] },
  { draw: drawProgress, on: ["runs", "pick"] },
  { draw: drawAbout, on: ["runs"] },
];
for (const { draw, on } of PARTS) {
  const later = once(draw);
  draw();
  onState((part) => on.some((key) => key in part) && later());
  onData(later);
}
for (const draw of [drawNow, drawCard, drawComparison]) draw(); // these listen by themselves
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", once(drawFront));
addEventListener("resize", drawTrials);
