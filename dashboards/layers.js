"use strict";
// A member's layers as a picture: a row for each layer of the teacher, empty where it was dropped.
const BIT_STEPS = [2, 3, 4, 5, 6, 7, 8, 16, 32];
const ROW = 24,
  GAP = 6,
  BAR = 20;

const meanBits = (bits) => (Array.isArray(bits) ? bits.reduce((a, b) => a + b, 0) / (bits.length || 1) : bits);
const bitsText = (bits) => {
  const each = Array.isArray(bits) ? [...new Set(bits)] : [bits];
  if (!each.some(known)) return "";
  return each.length > 1 ? `${Math.min(...each)}–${Math.max(...each)}` : String(Number(each[0].toFixed(1)));
};
function bitColour(bits) {
  const mean = meanBits(bits);
  if (!known(mean)) return [150, 150, 150];
  const at = BIT_STEPS.findIndex((step) => step >= mean);
  return cividis((at < 0 ? BIT_STEPS.length - 1 : at) / (BIT_STEPS.length - 1));
}

// Rows in the order in which a text passes them, with the teacher's layers that are gone in their places.
function layerRows(layers) {
  const rows = (layers.rows || []).map((row) => ({
    ...row,
    at: known(row.teacher_layer) ? row.teacher_layer - 1 : null,
  }));
  const used = new Set(rows.map((row) => row.at));
  const gone = [];
  for (let i = 0; i < ((layers.teacher && layers.teacher.layers) || 0); i += 1)
    if (!used.has(i)) gone.push({ at: i, dropped: true });
  const placed = rows.filter((row) => row.at !== null),
    other = rows.filter((row) => row.at === null);
  return [...[...placed, ...gone].sort((a, b) => a.at - b.at || (a.depth || 0) - (b.depth || 0)), ...other];
}

function layerPicture(card, width) {
  const { layers } = card,
    rows = layerRows(layers),
    place = columnsOf(layers, rows, width);
  const hatches = new Map();
  const height = 20 + (rows.length + 2) * (ROW + GAP) + 4;
  const parts = [columnHeads(place), embeddingRow(layers, place, hatches)];
  rows.forEach((row, i) =>
    parts.push(layerRow(row, layers, place, 20 + (i + 1) * (ROW + GAP), hatches, card.exits_used)),
  );
  parts.push(headRow(layers, place, 20 + (rows.length + 1) * (ROW + GAP)));
  const kept = rows.filter((row) => !row.dropped).length;
  return drawing(
    width,
    height,
    `Layers of ${card.id}`,
    `${count(kept, "layer")} kept of the teacher's ${layers.teacher?.layers ?? kept}. ` +
      "The table below the picture says the same in numbers.",
    svg("defs", {}, ...hatches.values()),
    ...parts,
  );
}

// Where things stand, from left to right: name, heads, feed-forward, what leaves.
function columnsOf(layers, rows, width) {
  const heads = Math.max(1, layers.teacher?.heads || 0, ...rows.map((row) => row.attention?.heads || 0));
  const names = width < 420 ? 30 : 62,
    notes = rows.some((row) => row.exit || (known(row.tokens) && row.tokens < 1)) ? (width < 420 ? 58 : 112) : 8;
  const room = width - names - notes - 16,
    attention = room * 0.42;
  return {
    width,
    heads,
    names,
    left: names,
    attention,
    cell: attention / heads,
    feed: names + attention + 16,
    feedRoom: room - attention,
    notes: width - notes + 8,
  };
}
function columnHeads(place) {
  return svg(
    "g",
    { class: "heads" },
    svgText(place.left, 11, place.width < 420 ? "heads" : "attention heads"),
    svgText(place.feed, 11, "feed-forward"),
  );
}

function embeddingRow(layers, place, hatches) {
  const { embeddings, teacher } = layers,
    full = teacher?.vocabulary || layers.vocabulary || 1,
    room = place.width - place.left - 8;
  const pieces = layers.vocabulary ?? full,
    share = Math.min(1, pieces / full);
  const said =
    `${whole(pieces)} pieces × ${layers.hidden ?? "–"}` +
    (place.width < 420 ? "" : `, teacher ${whole(full)} × ${teacher?.hidden ?? "–"}`);
  const bar = filled(place.left, 20, Math.max(14, share * room), embeddings || {}, hatches);
  const inside = share * room > 0.55 * room;
  const ink = inside ? inkOn(bitColour(embeddings?.bits)) : undefined;
  const text = svgText(
    inside ? place.left + 26 : place.left + Math.max(14, share * room) + 6,
    34,
    said,
    "start",
    inside ? "on" : "beside",
  );
  if (ink) text.setAttribute("fill", ink);
  return svg(
    "g",
    {},
    rowName(place, 20, place.width < 420 ? "in" : "pieces"),
    svg("rect", { x: place.left, y: 20, width: room, height: BAR, class: "teacher-outline" }),
    bar,
    text,
  );
}
function headRow(layers, place, y) {
  const head = layers.head || {};
  return svg(
    "g",
    {},
    rowName(place, y, place.width < 420 ? "out" : "answer"),
    filled(place.left, y, Math.max(26, 2 * place.cell), head),
    svgText(
      place.left + Math.max(26, 2 * place.cell) + 6,
      y + 14,
      known(head.bytes) ? `head, ${size(head.bytes)}` : "head",
      "start",
      "beside",
    ),
  );
}
const rowName = (place, y, text) => svgText(place.left - 6, y + 14, text, "end", "row-name");

function layerRow(row, layers, place, y, hatches, used) {
  const name = known(row.at) ? (place.width < 420 ? `${row.at + 1}` : `layer ${row.at + 1}`) : `+${row.depth ?? ""}`;
  if (row.dropped) return droppedRow(place, y, name);
  const attention = row.attention || {},
    feed = row.feed_forward || {};
  const group = svg("g", {}, svg("title", {}, layerWords(row, layers)), rowName(place, y, name));
  group.append(headCells(attention, layers, place, y, hatches));
  const full = layers.teacher?.feed_forward || feed.width || 1,
    length = Math.min(1, (feed.width || 0) / full) * place.feedRoom;
  group.append(svg("rect", { x: place.feed, y, width: place.feedRoom, height: BAR, class: "teacher-outline" }));
  if (feed.width) group.append(filled(place.feed, y, length, feed, hatches));
  if (length < place.feedRoom - 34 && feed.width)
    group.append(svgText(place.feed + length + 5, y + 14, whole(feed.width), "start", "beside"));
  group.append(...leaving(row, place, y, used));
  return group;
}
function droppedRow(place, y, name) {
  return svg(
    "g",
    { class: "dropped" },
    rowName(place, y, name),
    svg("rect", { x: place.left, y, width: place.attention, height: BAR, class: "teacher-outline" }),
    svg("rect", { x: place.feed, y, width: place.feedRoom, height: BAR, class: "teacher-outline" }),
    svgText(place.left + 8, y + 14, "dropped", "start", "beside"),
  );
}
function headCells(attention, layers, place, y, hatches) {
  const total = Math.max(layers.teacher?.heads || 0, attention.heads || 0),
    cells = svg("g", {});
  for (let i = 0; i < total; i += 1) {
    const box = { x: place.left + i * place.cell + 0.5, y, width: Math.max(2, place.cell - 2), height: BAR, rx: 2 };
    const kept = i < (attention.heads || 0);
    cells.append(
      svg("rect", {
        ...box,
        class: kept ? "part" : "teacher-outline",
        fill: kept ? rgbText(bitColour(attention.bits)) : undefined,
      }),
    );
    if (kept && attention.sparsity > 0)
      cells.append(svg("rect", { ...box, fill: hatchOf(attention.sparsity, hatches) }));
  }
  if (attention.heads) cells.append(bitsLabel(place.left, y, attention.bits));
  return cells;
}
// A bar coloured by its bits, hatched by the share of its weights that are zero.
function filled(x, y, length, what, hatches) {
  const box = { x, y, width: Math.max(1, length), height: BAR, rx: 2 };
  const group = svg("g", {}, svg("rect", { ...box, class: "part", fill: rgbText(bitColour(what.bits)) }));
  if (what.sparsity > 0 && hatches) group.append(svg("rect", { ...box, fill: hatchOf(what.sparsity, hatches) }));
  if (length >= 13) group.append(bitsLabel(x, y, what.bits));
  return group;
}
// Bits are printed on a plate of their colour, so that hatching does not cross them.
function bitsLabel(x, y, bits) {
  const text = bitsText(bits),
    colour = bitColour(bits);
  if (!text) return svg("g", {});
  const plate = { x: x + 2, y: y + 3, width: 5 + 6.5 * text.length, height: BAR - 6, rx: 2, fill: rgbText(colour) };
  const shown = svgText(plate.x + plate.width / 2, y + 14, text, "middle", "bits");
  shown.setAttribute("fill", inkOn(colour));
  return svg("g", {}, svg("rect", plate), shown);
}
// As much of each stripe is blank as of the weights is zero.
function hatchOf(share, hatches) {
  const key = Math.round(share * 20) / 20;
  if (!hatches.has(key)) {
    const id = `hatch-${(drawings += 1)}`;
    hatches.set(
      key,
      svg(
        "pattern",
        { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        svg("rect", { width: 6 * key, height: 6, class: "blank" }),
      ),
    );
  }
  return `url(#${hatches.get(key).id})`;
}
// What happens to texts after a layer: some leave by an exit, some of their tokens do not go on.
function leaving(row, place, y, used) {
  const isNarrow = place.width < 420,
    parts = [],
    lines = [];
  const left = leftAt(row, used);
  if (row.exit) {
    parts.push(svg("path", { d: `M${place.notes} ${y + BAR}v-${BAR - 1}l9 5l-9 5`, class: "flag" }));
    lines.push(left === null ? "exit" : `${percent(left)}${isNarrow ? "" : " leave"}`);
  }
  if (known(row.tokens) && row.tokens < 1)
    lines.push(isNarrow ? `→ ${percent(row.tokens)}` : `${percent(row.tokens)} of tokens`);
  const x = place.notes + (row.exit ? 14 : 0),
    first = y + (lines.length > 1 ? 8 : 14);
  return [...parts, ...lines.map((line, i) => svgText(x, first + 12 * i, line, "start", "beside"))];
}
function leftAt(row, used) {
  const at = used ? (used.depths || []).indexOf(row.depth) : -1;
  return at < 0 || !known(used.fractions[at]) ? null : used.fractions[at];
}

function layerWords(row, layers) {
  const said = [`Layer ${known(row.at) ? row.at + 1 : row.depth} of the teacher`];
  const { attention: a, feed_forward: f } = row;
  if (a)
    said.push(
      `${a.heads} of ${layers.teacher?.heads ?? a.heads} heads, ${bitsText(a.bits)} bits${a.sparsity ? `, ${percent(a.sparsity)} zeros` : ""}${a.rank ? `, rank ${a.rank}` : ""}`,
    );
  if (f)
    said.push(
      `feed-forward ${whole(f.width)}, ${bitsText(f.bits)} bits${f.sparsity ? `, ${percent(f.sparsity)} zeros` : ""}${f.rank ? `, rank ${f.rank}` : ""}`,
    );
  if (known(row.tokens) && row.tokens < 1) said.push(`${percent(row.tokens)} of the tokens go on`);
  if (row.exit) said.push(`exit (${[row.exit.rule, row.exit.threshold].filter(known).join(" ")})`);
  return said.join("; ");
}
