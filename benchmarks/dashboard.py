"""What pages of a large run cost: a made-up journal of 20,000 records, as a file and live, in a real Chromium.

    python benchmarks/dashboard.py                                # five page loads each
    python benchmarks/dashboard.py --records 2000 --loads 1 --out /tmp/dashboard.json

Chromium draws in software here and shares two cores with the server. Times start with the navigation.
`first_chart_s` ends when the front has been drawn and its frame was handed to the compositor; frames are those between
the first and the last move of a mouse that drags the chart. `main_thread_cpu_s` is the computing time of the page's
main thread until the chart stands, which others that use the machine (`load_average_before`) lengthen less.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _browser import opened_browser, served
from playwright.sync_api import Browser, Page

from autocomp.environment import machine_facts, versions
from autocomp.journal import read_lines
from autocomp.testing.large_runs import write_large_run

RESULTS = Path(__file__).parent / "results" / "dashboard.json"
SIZE = {"width": 1440, "height": 900}
MOVES, MOVE_S = 90, 1 / 60
#: A mark when the frame that has the chart is on its way, and a list of frames while they are counted.
WATCH = """
new PerformanceObserver((list) => {
  if (list.getEntriesByName("first-chart").length && !performance.getEntriesByName("painted").length)
    requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));
}).observe({ type: "mark", buffered: true });
window.frames_ = [];
window.countFrames = () => {
  window.frames_ = []; window.counting = true;
  const next = (at) => { window.frames_.push(at); if (window.counting) requestAnimationFrame(next); };
  requestAnimationFrame(next);
};
"""
MARKS = """() => Object.fromEntries(performance.getEntriesByType("mark").map((m) => [m.name, m.startTime / 1000]))"""
#: The moment at which a candidate that came in is drawn.
FOLLOW = """() => { window.seen = []; onData(() => { const count = runs[0].trials.count;
  requestAnimationFrame(() => setTimeout(() => window.seen.push([count, Date.now() / 1000]))); });
  return runs[0].trials.count; }"""


def loaded(browser: Browser, address: str) -> tuple[Page, dict[str, float]]:
    """A new page of an address once its chart is painted, and its marks in seconds."""
    page = browser.new_context(viewport=SIZE).new_page()
    page.add_init_script(WATCH)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address, wait_until="load")
    page.wait_for_function("() => performance.getEntriesByName('painted').length > 0")
    spent = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    return page, {**page.evaluate(MARKS), "cpu": spent["TaskDuration"]}


def heap_mb(page: Page) -> float:
    """Of the page's scripts, after a collection of garbage."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(page.evaluate("performance.memory.usedJSHeapSize")) / 1e6


def dragged(page: Page) -> dict[str, float]:
    """Frames while the chart is dragged for a second and a half."""
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("countFrames()")
    for step in range(1, MOVES + 1):
        began = time.perf_counter()
        page.mouse.move(x - step * 2.5, y + step)
        time.sleep(max(0.0, MOVE_S - (time.perf_counter() - began)))
    page.evaluate("window.counting = false")
    page.mouse.up()
    at = page.evaluate("window.frames_")
    lasted = [b - a for a, b in itertools.pairwise(at)]
    return {"frames_per_s": 1000 / statistics.mean(lasted), "longest_frame_ms": max(lasted), "frames": len(lasted)}


def measured(browser: Browser, address: str, loads: int) -> dict[str, Any]:
    """Medians over page loads; the last page is dragged."""
    marks, cpu, heaps = [], [], []
    for _ in range(loads):
        page, found = loaded(browser, address)
        marks.append(found["painted"])
        cpu.append(found["cpu"])
        heaps.append(heap_mb(page))
        pan = dragged(page)
        page.context.close()
    return {
        "first_chart_s": statistics.median(marks),
        "first_chart_s_of_all": marks,
        "main_thread_cpu_s": statistics.median(cpu),
        "js_heap_mb": statistics.median(heaps),
        "pan": pan,
    }


def of_file(browser: Browser, run: Path, loads: int) -> dict[str, Any]:
    """The report: written by the command line in a process of its own."""
    file, began = run / "report.html", time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "autocomp", "report", run, "--out", file], check=True, stdout=subprocess.DEVNULL
    )
    wrote = time.perf_counter() - began
    return {"write_s": wrote, "bytes": file.stat().st_size, **measured(browser, file.as_uri(), loads)}


def of_server(browser: Browser, run: Path, loads: int) -> dict[str, Any]:
    """The live page of a run that goes on."""
    began = time.perf_counter()
    with served(run, run / "exports") as door:
        found: dict[str, Any] = {"start_s": time.perf_counter() - began}
        found |= measured(browser, door["url"], loads)
        page, _ = loaded(browser, door["url"])
        found["bytes"] = page.evaluate("performance.getEntriesByType('navigation')[0].transferSize")
        found["new_trial_s"] = [appended(page, run, number) for number in range(5)]
        found["resident_mb"] = resident_mb(door["pid"])
    return found


def appended(page: Page, run: Path, number: int) -> float:
    """Seconds from a record's line in the journal to its point on the page."""
    known = page.evaluate(FOLLOW)
    record = copy.deepcopy(next(read_lines(run / "journal.jsonl", "record"))["record"])
    event = {"event": "record", "at": time.time(), "record": {**record, "id": f"t9999-{number}"}}
    with (run / "journal.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps(event) + "\n")
    began = time.time()
    page.wait_for_function("(n) => window.seen.some(([count]) => count > n)", arg=known)
    time.sleep(1.0)
    return float(next(at for count, at in page.evaluate("window.seen") if count > known)) - began


def resident_mb(pid: int) -> float:
    """Of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e3


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both pages and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp())
    with opened_browser() as browser:
        known = {**versions(), "chromium": browser.version, "plotly": version("plotly")}
        found: dict[str, Any] = {"machine": machine_facts(), "versions": known, "records": args.records}
        found["load_average_before"] = os.getloadavg()[0]
        found["report"] = of_file(browser, write_large_run(folder / "finished", args.records), args.loads)
        running = write_large_run(folder / "running", args.records, finished=False)
        found["journal_mb"] = (running / "journal.jsonl").stat().st_size / 1e6
        found["live"] = of_server(browser, running, args.loads)
    shutil.rmtree(folder)
    args.out.write_text(json.dumps(rounded(found), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rounded(found), indent=1))


def rounded(data: Any) -> Any:
    """Four significant digits."""
    if isinstance(data, dict):
        return {key: rounded(value) for key, value in data.items()}
    return (
        [rounded(v) for v in data]
        if isinstance(data, list)
        else float(f"{data:.4g}")
        if isinstance(data, float)
        else data
    )


if __name__ == "__main__":
    main()
