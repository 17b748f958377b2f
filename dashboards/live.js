"use strict";
// What only a page that is served can do: ask its server, and follow runs while they go on.
const isLive = Boolean(page.live);
const token = new URLSearchParams(location.search).get("token") || "";
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 10000;
const SILENCE_MS = 45000;
const streams = new Map(); // run index -> "connecting" | "live" | "reconnecting" | "finished"

const runPath = (run) => `api/runs/${page.runs.indexOf(run)}`;
const itemPath = (run, id) => `${runPath(run)}/members/${encodeURIComponent(id)}`;
const downloadUrl = (path) => `${path}?token=${encodeURIComponent(token)}`;

async function api(path, options) {
  const headers = { "X-Autocomp-Token": token };
  if (options && options.body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { cache: "no-store", ...options, headers }).catch(() => {
    throw new Error("The dashboard's server does not answer. Is `autocomp dashboard` still running?");
  });
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error((told && told.error) || `The server answered ${answer.status} ${answer.statusText}.`);
  return told;
}
const post = (path, body) => api(path, { method: "POST", body: JSON.stringify(body) });

const isOver = (run) => run.summary.status === "finished";
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Follows one run until it is finished. A stream that breaks or falls silent is opened again, later each time.
async function follow(index) {
  let wait = FIRST_WAIT_MS;
  tellStream(index, "connecting");
  while (!isOver(page.runs[index])) {
    const opened = Date.now();
    await readUpdates(index).catch(() => null);
    if (isOver(page.runs[index])) break;
    wait = Date.now() - opened > LONGEST_WAIT_MS ? FIRST_WAIT_MS : wait;
    tellStream(index, "reconnecting");
    await pause(wait);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
  tellStream(index, "finished");
}

// The server sends what came after the candidates that this page has already.
async function readUpdates(index) {
  const stop = new AbortController();
  const url = `${runPath(page.runs[index])}/updates?rows=${page.runs[index].trials.count}`;
  const answer = await fetch(url, { headers: { "X-Autocomp-Token": token }, cache: "no-store", signal: stop.signal });
  if (!answer.ok) throw new Error(String(answer.status));
  tellStream(index, "live");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "",
    silence;
  try {
    for (;;) {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
      const { value, done } = await reader.read();
      if (done) return;
      rest = takeEvents(rest + value, (update) => merge(index, update));
      if (isOver(page.runs[index])) return;
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}

// Server-sent events end with an empty line; returns what is left of the last, unfinished one.
function takeEvents(text, take) {
  const events = text.replace(/\r\n?/g, "\n").split("\n\n");
  const rest = events.pop();
  for (const event of events) {
    const data = event
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart());
    if (data.length) take(JSON.parse(data.join("\n")));
  }
  return rest;
}

const STREAM_WORDS = { connecting: "connecting", live: "live", reconnecting: "reconnecting", finished: "finished" };
const STREAM_TIPS = {
  connecting: "Asking the server for what is new.",
  live: "New candidates appear here by themselves.",
  reconnecting: "The server does not answer. The page shows what it knew last and keeps trying.",
  finished: "Nothing more will change.",
};
function tellStream(index, word) {
  streams.set(index, word);
  const all = [...streams.values()];
  const shown = ["reconnecting", "connecting", "live"].find((w) => all.includes(w)) || "finished";
  const mark = byId("live") || liveMark();
  if (!mark || mark.dataset.stream === shown) return;
  mark.dataset.stream = shown;
  mark.title = STREAM_TIPS[shown];
  mark.textContent = STREAM_WORDS[shown];
}
function liveMark() {
  const header = document.querySelector("header");
  if (!header) return null;
  const mark = el("p", { id: "live", role: "status" });
  header.append(mark);
  return mark;
}

// What is known is on the screen before anything new is asked for.
if (isLive) requestAnimationFrame(() => setTimeout(() => page.runs.forEach((_, index) => follow(index))));
