"""What the dashboard promises, in a real browser: on a real finished run, on one that is running, and from a file."""

import hashlib
import json
import time
import zipfile

import pytest

import autocomp
from autocomp.journal import read_lines
from autocomp.report.page import write_report
from autocomp.report.summary import summary

FILES = ("model.onnx", "tokenizer.json", "manifest.json")
#: Where a member's point is on the screen.
PLACE = """(id) => {
  const { xaxis, yaxis } = chart._fullLayout, box = chart.getBoundingClientRect();
  const trace = chart.data.find((t) => t.error_y && t.customdata.includes(`r0/${id}`));
  const i = trace.customdata.indexOf(`r0/${id}`);
  return { x: box.x + xaxis._offset + xaxis.d2p(trace.x[i]), y: box.y + yaxis._offset + yaxis.d2p(trace.y[i]) };
}"""
#: Members that meet the limits are drawn in full.
POINTS = """() => [...new Set(chart.data.filter((t) => t.error_y).flatMap((t) =>
  t.customdata.filter((_, i) => t.marker.opacity[i] === 1)))].map((ref) => ref.split("/")[1])"""
PIXELS = """() => { const c = byId("trials"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""


def drawn(page, address):
    page.goto(address)
    page.wait_for_function("() => performance.getEntriesByName('first-chart').length === 1")
    page.wait_for_function(f"() => ({PIXELS})() > 10")
    return page


def click_member(page, name):
    place = page.evaluate(PLACE, name)
    page.mouse.move(place["x"], place["y"])
    page.mouse.click(place["x"], place["y"])
    page.wait_for_function("name => document.getElementById('card-title')?.textContent === name", arg=name)


def smallest_drawn(page, run):
    """A member that others surpass in what the axes show has no point, as may happen to any by noise of its timing."""
    shown = page.evaluate(POINTS)
    return next(m["id"] for m in summary(run)["members"] if m["id"] in shown)


def check_narrowing(page, run):
    """A limit just below the largest of the members that are shown leaves those below it, and names one or none."""
    sizes = {m["id"]: m["bytes"] for m in summary(run)["members"] if m["id"] in page.evaluate(POINTS)}
    limit = max(sizes.values()) * 0.995
    fits = {name for name, size in sizes.items() if size <= limit}
    page.locator("#limit-bytes").fill(f"{limit / 1e6:.6f}")
    page.locator("#limit-bytes").press("Enter")
    page.wait_for_function(f"() => ({POINTS})().length === {len(fits)}")
    assert set(page.evaluate(POINTS)) == fits < set(sizes)
    assert (page.locator("#verdict .pick").inner_text().split(":")[0] in fits) == bool(fits)
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function(f"() => ({POINTS})().length === {len(sizes)}")


def check_comparison(page, name):
    page.locator(f"tr[data-ref='r0/{name}'] input").check()
    page.locator("tr[data-ref='r0/teacher'] input").check()
    page.wait_for_selector("#comparison .compared tr:has(th:text-is('size')) td >> nth=1")
    page.locator(f"tr[data-ref='r0/{name}'] input").uncheck()
    page.locator("tr[data-ref='r0/teacher'] input").uncheck()
    page.wait_for_selector("#comparison", state="hidden")


def sums(folder):
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}


def test_a_finished_run_is_looked_at_tried_and_taken_away(page, finished, dashboard, tmp_path):
    served = dashboard(finished, "--exports", tmp_path / "exports")
    drawn(page, served.url)
    check_narrowing(page, finished)
    name = smallest_drawn(page, finished)
    click_member(page, name)
    page.wait_for_selector("#card .layers svg")
    check_comparison(page, name)

    page.fill("#try-text", "a good film")
    page.press("#try-text", "Enter")
    page.wait_for_selector("#try-answers .answer >> nth=1")
    own = autocomp.load(finished / "front" / name)
    assert f"{name}: {own.predict(['a good film'])[0].label}" in page.inner_text("#try-answers")

    page.fill("#export-name", "guard")
    page.click("#export-write")
    page.wait_for_selector("#export-path")
    assert sums(tmp_path / "exports" / "guard") == sums(finished / "front" / name)
    assert autocomp.load(tmp_path / "exports" / "guard").predict(["a good film"]) == own.predict(["a good film"])
    with page.expect_download() as begun:
        page.click("#export-download")
    with zipfile.ZipFile(begun.value.path()) as zipped:
        inside = {n.rsplit("/", 1)[-1]: hashlib.sha256(zipped.read(n)).hexdigest() for n in zipped.namelist()}
    assert inside == sums(finished / "front" / name)


def test_the_report_works_from_a_file_without_network(pages, finished, tmp_path):
    page = pages(offline=True)
    drawn(page, write_report([finished], tmp_path / "report.html").as_uri())
    check_narrowing(page, finished)
    name = smallest_drawn(page, finished)
    click_member(page, name)
    page.wait_for_selector("#card .layers svg")
    assert "autocomp dashboard" in page.inner_text("#card .try") and "autocomp export" in page.inner_text(
        "#card .export"
    )
    check_comparison(page, name)


@pytest.fixture
def running(tiny_run, tiny_cache, started, tmp_path):
    """A real study at work, the teacher of which is known from the finished one; a job of it takes a second or two."""
    run = tmp_path / "running"
    process = started("search", tiny_run.study, "--budget", "60trials", "--out", run, "--quiet", cache=tiny_cache)
    deadline = time.time() + 90
    while not (run / "journal.jsonl").exists() or not list(read_lines(run / "journal.jsonl", "record")):
        assert process.poll() is None, process.stderr.read()
        assert time.time() < deadline
        time.sleep(0.1)
    return run


@pytest.mark.slow
def test_a_running_study_is_followed_within_three_seconds(page, running, dashboard):
    drawn(page, dashboard(running).url)
    page.evaluate("window.seen = []; onData(() => seen.push([runs[0].trials.count, Date.now() / 1000]))")
    first = page.evaluate("runs[0].trials.count")
    news = "(first) => new Set(seen.map(([n]) => n).filter((n) => n > first)).size >= 2"
    page.wait_for_function(news, arg=first, timeout=60_000)
    records = [e for e in read_lines(running / "journal.jsonl", "record") if e["record"]["status"] == "complete"]
    late = {n: at - records[n - 1]["at"] for n, at in reversed(page.evaluate("seen")) if n > first}
    assert max(late.values()) < 3.0, json.dumps(late)
    count = page.evaluate("runs[0].trials.count")
    assert f"{count} candidate" in page.inner_text("#front-hint") and page.locator("#live").inner_text() == "live"
