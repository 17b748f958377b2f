"""Studies that are killed at any moment go on where they were."""

import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp.record import read_events
from autocomp.report.summary import summary
from autocomp.search import front

PATIENCE_S = 180


def events(run, kind=None):
    journal = run / "journal.jsonl"
    return list(read_events(journal, kind)) if journal.exists() else []


def wait_for(condition, process=None):
    deadline = time.time() + PATIENCE_S
    while not condition():
        assert time.time() < deadline, "waited in vain"
        if process and process.poll() is not None:
            return
        time.sleep(0.02)


def children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def kill(process):
    """kill -9 of the study alone: its workers have to notice by themselves."""
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_for(lambda: not any(alive(pid) for pid in workers))
    return workers


@pytest.fixture
def quick_front(monkeypatch):
    """The final timing takes as few rounds as it may."""
    monkeypatch.setattr(front, "TIMING_S", 0.0)


@pytest.fixture
def cut(finished, tmp_path):
    """`cut(condition)`: the finished run as it was before the first event that fulfils the condition."""

    def make(condition):
        run = tmp_path / "run"
        shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("front", "report.html", "lock"))
        lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        number = next(i for i, e in enumerate(events(run)) if condition(e))
        torn = lines[number][: len(lines[number]) // 2]
        (run / "journal.jsonl").write_text("".join(lines[:number]) + torn, encoding="utf-8")
        return run

    return make


def record_of(name):
    return lambda e: e["event"] == "record" and e["record"]["id"] == name


def event(kind, **fields):
    return lambda e: e["event"] == kind and all(e.get(k) == v for k, v in fields.items())


MOMENTS = {
    "before the teacher": event("charge"),
    "before the first job": event("started", job="t0001"),
    "before its first record": record_of("t0002-0"),
    "among a job's records": lambda e: e["event"] == "record" and e["record"]["id"].endswith("-1"),
    "between its records and its charge": event("charge", job="t0002"),
    "between two jobs": event("started", job="t0003"),
    "before the front": event("front"),
    "before the end": event("finished"),
}
QUICK = ("among a job's records", "between two jobs")


@pytest.mark.parametrize("moment", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS])
def test_a_run_cut_off_at_any_event_ends_as_the_whole_one(cut, finished, autocomp, inline, quick_front, books, moment):
    run = cut(MOMENTS[moment])
    assert summary(run)["status"] == "interrupted"
    said = autocomp("resume", run, "--quiet")
    assert said.status == 0, said.err
    books(run, trials=3)
    found = summary(run)
    assert (found["status"], found["reason"], len(found["members"]) > 0) == ("finished", "all trials done", True)
    plans = [{e["job"]: e["plan"] for e in events(r, "started")} for r in (run, finished.run)]
    assert plans[0] == plans[1]
    kept = [{e["record"]["id"] for e in events(r, "record")} for r in (run, finished.run)]
    assert {n for n in kept[1] if n.endswith("-0")} <= kept[0]
    assert len(events(run, "resumed")) == 1


def test_a_run_that_is_being_worked_on_is_left_alone(finished, autocomp, cut):
    from autocomp.report.lock import Lock

    run = cut(event("started", job="t0003"))
    with Lock(run):
        before = events(run)
        said = autocomp("resume", run, "--quiet")
        assert said.status == 2 and "another process" in said.err
        assert events(run) == before


@pytest.mark.slow
def test_kill_and_resume(started, autocomp, tiny, tmp_path, cache, books, inline, quick_front):
    run = tmp_path / "run"
    study = tiny(recovery_steps=[100, 300], budget="2trials")
    process = started("search", study, "--out", run, "--quiet", cache=cache)
    wait_for(lambda: len(events(run, "started")) == 2, process)
    time.sleep(0.3)
    assert process.poll() is None and summary(run)["status"] == "running"
    assert len(kill(process)) >= 1
    interrupted = summary(run)
    assert interrupted["status"] == "interrupted" and interrupted["trials"]["jobs"] == 2
    began, ended = events(run)[0]["at"], time.time()
    said = autocomp("resume", run, "--quiet")
    assert said.status == 0, said.err
    books(run, trials=2)
    found = summary(run)
    assert found["status"] == "finished" and found["members"]
    lost = [e["charge"] for e in events(run, "charge") if e["charge"]["what"] == "lost"]
    assert len(lost) == 1 and 0 < lost[0]["wall_s"] < ended - began


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_and_always_resumed(started, tiny, tmp_path, books, seed):
    rng, run, cache = np.random.default_rng(seed), tmp_path / "run", tmp_path / "cache"
    study = tiny(budget="4trials", recovery_steps=[200, 400], workers=2, seed=seed)
    spent = SimpleNamespace(wall_s=0.0)
    for attempt in range(4):
        words = ("resume", run) if events(run) else ("search", study, "--out", run)
        process, before = started(*words, "--quiet", cache=cache), len(events(run))
        wait_for(lambda: len(events(run)) > before, process)  # noqa: B023 - called at once
        time.sleep(rng.uniform(0.5, 3.0) if attempt == 0 else rng.uniform(1.0, 12.0))  # the first during the teacher
        if process.poll() is None:
            kill(process)
        now = summary(run)["budget"]["spent"]["wall_s"]
        assert now >= spent.wall_s
        spent.wall_s = now
    process = started("resume", run, "--quiet", cache=cache)
    assert process.wait(PATIENCE_S) == 0
    books(run, trials=4)
    found = summary(run)
    assert found["status"] == "finished" and found["members"] and found["trials"]["jobs"] == 4
