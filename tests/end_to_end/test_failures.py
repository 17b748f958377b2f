"""Trials that fail, workers that die, budgets that are too small: the study ends with what it has."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autocomp.executors import local
from autocomp.heads import heads
from autocomp.journal import read_lines, read_records
from autocomp.pipeline import export as exporting
from autocomp.pipeline.jobs import TRIALS, run_job
from autocomp.report.summary import summary
from autocomp.study import front, preparation, schedule
from autocomp.study import run as study_module
from autocomp.techniques import techniques


@pytest.fixture
def search(autocomp, tiny, tmp_path, monkeypatch):
    """Run the tiny study; its summary and records by job. A study without a measured candidate fails and says so."""
    monkeypatch.setattr(front, "TIMING_S", 0.0)

    def run(*flags, **changes):
        out = tmp_path / "run"
        said = autocomp("search", tiny(**changes), "--out", out, "--quiet", *flags)
        measured = summary(out)["trials"]["complete"]
        assert said.status == (0 if measured else 1), said.err
        assert ("no candidate was measured" in said.err) == (not measured)
        by_job = {}
        for record in read_records(out / "journal.jsonl"):
            by_job.setdefault(record.id.split("-")[0], []).append(record)
        return summary(out), by_job

    return run


def assert_landmarks(found):
    """What is always there, however little time there was."""
    assert found["status"] == "finished" and found["final"]
    assert found["teacher"]["score"] > 0.9 and found["plain_int8"]["bytes"] < found["teacher"]["bytes"]


def assert_only_landmarks(found):
    """No student made it."""
    assert_landmarks(found)
    assert {m["id"] for m in found["members"]} <= {"teacher", "plain_int8"} and "plain_int8" in str(found["members"])
    assert all(Path(m["path"]).is_dir() for m in found["members"])


@pytest.mark.slow
def test_losses_that_are_no_numbers_fail_the_trials_and_not_the_study(search, inline, monkeypatch, books, tmp_path):
    monkeypatch.setattr(heads["classification"], "distance", lambda outputs, *_: outputs.sum() * math.nan)
    found, by_job = search(recovery_steps=[21])
    assert {r.status for r in by_job["t0001"]} == {"complete"}
    for job in ("t0002", "t0003"):
        [failed] = by_job[job]
        assert failed.status == "failed" and failed.error.startswith("TrainingDiverged: ")
    assert found["members"] and found["trials"]["failed"] == 2
    assert_landmarks(found)
    books(tmp_path / "run", trials=3)


def test_when_every_trial_fails_teacher_and_plain_int8_are_left(search, inline, monkeypatch, autocomp, tmp_path):
    def fail(*_):
        raise RuntimeError("this technique is broken")

    monkeypatch.setattr(type(techniques["feed_forward"]), "prepare", fail)
    found, by_job = search()
    assert [r.status for records in by_job.values() for r in records] == ["failed"] * 3
    assert all("RuntimeError: this technique is broken" in r.error for records in by_job.values() for r in records)
    assert found["trials"] == {"complete": 0, "failed": 3, "jobs": 3, "retried": 0}
    assert_only_landmarks(found)
    for words in (["show"], ["report"]):
        assert autocomp(words[0], tmp_path / "run", *words[1:]).status == 0
    again = autocomp("resume", tmp_path / "run", "--quiet", "--json")
    assert again.status == 1 and json.loads(again.out)["trials"]["failed"] == 3
    assert "the first because of RuntimeError: this technique is broken" in again.err
    assert autocomp("export", tmp_path / "run", "--pick", "plain_int8", "--out", tmp_path / "guard").status == 0


def test_files_that_answer_differently_are_left_out(search, inline, monkeypatch):
    monkeypatch.setattr(exporting, "LEAST_AGREEMENT", 1.01)
    space = {"techniques": {"depth": {"layers": 2}, "distillation": {}, "linear_bits": {"bits": [4, 8]}}}
    found, by_job = search("--budget", "1trials", seed=5, space=space)
    assert {r.status for r in by_job["t0001"]} == {"failed"}
    assert all(r.error.startswith("ExportMismatch: ") for r in by_job["t0001"])
    assert_only_landmarks(found)


def test_a_full_disk_stops_the_study_and_loses_nothing(tiny, autocomp, inline, monkeypatch, books, tmp_path):
    monkeypatch.setattr(front, "TIMING_S", 0.0)
    run, real, calls = tmp_path / "run", exporting.artifact_stage, []

    def until_it_is_full(*given):
        calls.append(given)
        if len(calls) == 4:
            raise OSError(28, "No space left on device", "/cache/x")
        return real(*given)

    monkeypatch.setattr(exporting, "artifact_stage", until_it_is_full)
    said = autocomp("search", tiny(), "--out", run, "--quiet")
    assert said.status == 1 and "No space left on device: '/cache/x'" in said.err
    assert f"mend that, then `autocomp resume {run}`" in said.err
    assert summary(run)["status"] == "interrupted" and summary(run)["trials"]["failed"] == 0
    before = {r.id: r.measurements for r in read_records(run / "journal.jsonl")}
    done = {e["job"] for e in read_lines(run / "journal.jsonl", "charge") if "job" in e}
    [stopped] = {e["job"] for e in read_lines(run / "journal.jsonl", "started")} - done
    said = autocomp("resume", run, "--quiet")
    assert said.status == 0, said.err
    books(run, trials=3)
    after = {r.id: r.measurements for r in read_records(run / "journal.jsonl")}
    assert summary(run)["trials"]["failed"] == 0 and any(name.startswith(stopped) for name in after)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(("room", "what"), [(preparation, "knowledge_stage"), (front, "write_out")])
def test_a_full_disk_beside_the_trials_stops_the_study_too(tiny, autocomp, inline, monkeypatch, tmp_path, room, what):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "/cache/x")

    monkeypatch.setattr(front, "TIMING_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(room, what, full)
        said = autocomp("search", tiny(), "--budget", "1trials", "--out", tmp_path / "run", "--quiet")
    assert said.status == 1 and "No space left on device" in said.err and "autocomp resume" in said.err
    assert "Traceback" not in said.err
    assert autocomp("resume", tmp_path / "run", "--quiet").status == 0
    assert summary(tmp_path / "run")["status"] == "finished"


def cannot_start(*_):
    """As a worker that ends when it loads its libraries."""
    os._exit(7)


def test_workers_that_cannot_start_stop_the_study_with_the_reason(tiny, autocomp, monkeypatch, request, tmp_path):
    monkeypatch.syspath_prepend(request.config.rootpath)
    with monkeypatch.context() as broken:
        broken.setattr(local, "_start_worker", cannot_start)
        said = autocomp("search", tiny(), "--out", tmp_path / "run", "--quiet")
    assert said.status == 1 and "could not start: it ended by itself with status 7" in said.err
    assert summary(tmp_path / "run")["trials"] == {"complete": 0, "failed": 0, "jobs": 1, "retried": 0}
    assert summary(tmp_path / "run")["status"] == "interrupted"


SCRIPT = """
import autocomp
print("the script runs")
run = autocomp.search({study!r}, out={out!r}, budget="1trials")
print("best:", run.best["id"], "of", len(run.front))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_a_whole_study(tiny, tmp_path, request):
    file, run = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(SCRIPT.format(study=str(tiny()), out=str(run)), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(request.config.rootpath)}
    done = subprocess.run([sys.executable, file], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert (first, last.split()[0]) == ("the script runs", "best:")
    assert {r.status for r in read_records(run / "journal.jsonl")} == {"complete"}


def dies_at_first(data):
    """In a worker: as if the system had killed it."""
    if data["id"] == "t0001":
        os._exit(1)
    return run_job(data)


def test_a_worker_that_dies_is_a_failed_trial(search, monkeypatch, books, tmp_path, request):
    monkeypatch.syspath_prepend(request.config.rootpath)
    monkeypatch.setattr(study_module, "TRIALS", replace(TRIALS, run=dies_at_first))
    found, by_job = search("--budget", "2trials")
    [failed] = by_job["t0001"]
    assert failed.status == "failed" and "its worker process died" in failed.error
    assert {r.status for r in by_job["t0002"]} == {"complete"}
    of_the_front = {m["record"] for m in found["members"]}
    assert of_the_front and of_the_front <= {r.id for r in by_job["t0002"]}
    books(tmp_path / "run", trials=2)
    [lost] = [
        c for e in read_lines(tmp_path / "run" / "journal.jsonl", "charge") if (c := e["charge"])["what"] == "lost"
    ]
    assert lost["cpu_s"] > 0, "what it held until it died is paid for"


def test_a_budget_for_nothing_but_the_teacher(search, inline, finished):
    found, by_job = search("--budget", "4s")
    assert by_job == {} and found["reason"] == "budget spent"
    assert_only_landmarks(found)


@pytest.mark.slow
def test_a_budget_that_ends_in_the_first_trial_still_gives_a_front(search, inline, monkeypatch, finished, tmp_path):
    monkeypatch.setattr(schedule, "LEAST_TRAINING_S", 1.0)
    monkeypatch.setattr(schedule, "SQUEEZE", 0.0)
    space = {
        "techniques": {"depth": {"layers": 2}, "distillation": {"hidden": 0.0, "relations": 0.0}, "linear_bits": {}}
    }
    found, by_job = search("--budget", "8s", recovery_steps=[100_000], space=space)
    assert 1 <= len(by_job) <= 3 and by_job["t0001"][0].status == "complete"
    assert found["reason"] == "budget spent" and not {m["id"] for m in found["members"]} & {"teacher", "plain_int8"}
    assert found["budget"]["spent"]["wall_s"] < 90  # all its steps would take minutes
    started = next(read_lines(tmp_path / "run" / "journal.jsonl", "started"))
    assert started["rungs"][0]["steps"] == 100_000
