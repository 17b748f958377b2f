"use strict";
// The picture of the layers in its frame: key of its colours, and the same in numbers.

function layerTable(card) {
  const { layers, exits_used: used } = card;
  const rows = layerRows(layers).map((row) => {
    const name = known(row.at) ? `layer ${row.at + 1}` : `depth ${row.depth}`;
    if (row.dropped) return [name, "dropped", "", "", "", "", "", "", ""];
    const a = row.attention || {},
      f = row.feed_forward || {},
      left = leftAt(row, used);
    const exit = row.exit
      ? [row.exit.rule, row.exit.threshold, left === null ? null : `${percent(left)} leave`].filter(known).join(" ")
      : "";
    return [
      name,
      known(a.heads) ? `${a.heads} × ${a.head_size ?? "–"}` : "–",
      bitsText(a.bits),
      whole(f.width),
      bitsText(f.bits),
      [a.sparsity, f.sparsity].map((s) => percent(s)).join(" / "),
      [a.rank, f.rank].some(known) ? `${a.rank ?? "–"} / ${f.rank ?? "–"}` : "full",
      size((a.bytes || 0) + (f.bytes || 0)),
      [known(row.tokens) && row.tokens < 1 ? `${percent(row.tokens)} of tokens go on` : "", exit]
        .filter(Boolean)
        .join("; "),
    ];
  });
  return plainTable(
    "Layers in numbers",
    [
      "layer",
      "heads × size",
      "bits",
      "feed-forward",
      "bits",
      "zeros, attention / feed-forward",
      "rank",
      "stored",
      "leaves",
    ],
    rows,
  );
}

function bitsLegend(card) {
  const { layers } = card,
    used = new Set();
  const parts = [
    layers.embeddings,
    layers.head,
    ...(layers.rows || []).flatMap((r) => [r.attention, r.feed_forward]),
  ].filter(Boolean);
  for (const { bits } of parts) (Array.isArray(bits) ? bits : [bits]).filter(known).forEach((b) => used.add(b));
  const keys = [...used]
    .sort((a, b) => a - b)
    .map((bits) => el("li", {}, swatch(rgbText(bitColour(bits))), `${bitsText(bits)} bits`));
  if (parts.some((part) => part.sparsity > 0))
    keys.push(el("li", {}, el("i", { class: "swatch hatched" }), "weights that are zero"));
  return el(
    "ul",
    { class: "legend" },
    ...keys,
    el("li", {}, el("i", { class: "swatch outline" }), "only the teacher has it"),
  );
}
function swatch(colour) {
  const mark = el("i", { class: "swatch" });
  mark.style.background = colour;
  return mark;
}

function layersPanel(card, found) {
  if (!card.layers)
    return panel(
      "Layer by layer",
      "wide",
      absent(found, "This run is of a version that kept no picture of the layers."),
    );
  return panel(
    "Layer by layer",
    "wide",
    fitted((width) => layerPicture(card, Math.min(width, 1080)), "layers"),
    bitsLegend(card),
    folded("The same as a table", layerTable(card)),
  );
}
