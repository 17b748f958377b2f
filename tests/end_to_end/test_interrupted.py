"""Studies that are killed at any moment go on where they were."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp import pareto
from autocomp.journal import read_lines, read_records
from autocomp.objective import Objective
from autocomp.pipeline import jobs
from autocomp.report.summary import summary
from autocomp.study import front
from autocomp.study import run as study
from autocomp.study.losses import LossScale

PATIENCE_S = 180


def events(run, kind=None):
    journal = run / "journal.jsonl"
    return list(read_lines(journal, kind)) if journal.exists() else []


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
        kept = "".join(map(faster_than_any, lines[:number]))
        (run / "journal.jsonl").write_text(kept + torn, encoding="utf-8")
        return run

    return make


def faster_than_any(line):
    """A line of a journal; a record of the first job with a latency that nothing later can have, so that one stays on
    the front whatever the machine does meanwhile."""
    event = json.loads(line)
    if event["event"] != "record" or not event["record"]["id"].startswith("t0001-"):
        return line
    event["record"]["measurements"]["latency"]["value"] = 1e-6
    return json.dumps(event, ensure_ascii=False) + "\n"


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


@pytest.fixture
def jobs_run(monkeypatch):
    """Names of the jobs that this process does from now on."""
    done, real = [], jobs.run_job

    def run_job(data):
        done.append(data["id"])
        return real(data)

    monkeypatch.setattr(jobs, "TRIALS", replace(jobs.TRIALS, run=run_job))
    monkeypatch.setattr(study, "TRIALS", jobs.TRIALS)
    return done


@pytest.fixture
def chosen(monkeypatch):
    """Names of the records that are taken for the final front."""
    names, real = [], front.score_and_time

    def see(context, run, best, *more):
        names.extend(r.id for r in best)
        return real(context, run, best, *more)

    monkeypatch.setattr(front, "score_and_time", see)
    return names


def best_of(run):
    """Names of the records of a journal that no other one dominates, by the objectives and the teacher in it; of these
    only those within the hypervolume's reference, if any is: under load a file may be timed slower than that."""
    [began], *_, teacher = events(run, "study"), *events(run, "teacher")
    objectives = tuple(Objective(**o) for o in began["objectives"])
    judge = LossScale(objectives, tuple(teacher["values"][o.name] for o in objectives))
    complete = [r for r in read_records(run / "journal.jsonl") if r.status == "complete"]
    losses = judge.of(complete)
    best = pareto.is_non_dominated(losses)
    inside = best & np.all(losses < judge.reference, axis=1)
    return {r.id for r, is_best in zip(complete, inside if inside.any() else best, strict=True) if is_best}


def records(run):
    return {e["record"]["id"]: e["record"] for e in events(run, "record")}


@pytest.mark.parametrize("moment", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS])
def test_a_run_cut_off_at_any_event_ends_as_the_whole_one(
    cut, finished, autocomp, inline, quick_front, books, jobs_run, chosen, moment
):
    run = cut(MOMENTS[moment])
    before, ended = records(run), [e["job"] for e in events(run, "charge") if "job" in e]
    begun = [e["job"] for e in events(run, "started")]
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
    # What was finished is neither done nor started again, and stands as it stood, with its measurements and seconds.
    assert jobs_run == [f"t{n:04d}" for n in range(1, 4) if f"t{n:04d}" not in ended]
    assert [e["job"] for e in events(run, "started")][: len(begun)] == begun
    assert {name: records(run).get(name) for name in before} == before
    assert set(chosen) == best_of(run) and bool(set(before) & best_of(run)) == bool(before)


@pytest.fixture
def moved(cut, finished, tmp_path):
    """A run that was interrupted between two jobs, and its texts, which were moved since; to be edited."""
    run = cut(MOMENTS["between two jobs"])
    spec = json.loads((run / "study.json").read_text(encoding="utf-8"))
    shutil.copytree(spec["task"]["source"], tmp_path / "texts")
    spec["task"]["source"] = str(tmp_path / "texts")
    (run / "study.json").write_text(json.dumps(spec), encoding="utf-8")
    return SimpleNamespace(run=run, texts=tmp_path / "texts", spec=spec)


def test_texts_that_only_moved_are_the_same_data(moved, autocomp, inline, quick_front, jobs_run):
    said = autocomp("resume", moved.run, "--quiet")
    assert said.status == 0, said.err
    assert jobs_run == ["t0003"]


def test_a_run_whose_data_changed_is_refused_before_anything_starts(moved, autocomp, inline, jobs_run):
    swap = {"negative": "positive", "positive": "negative"}
    for file in moved.texts.glob("*.csv"):
        rows = [line.rsplit(",", 1) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(f"{','.join([*r[:-1], swap.get(r[-1], r[-1])])}\n" for r in rows), encoding="utf-8")
    before = (moved.run / "journal.jsonl").read_bytes()
    said = autocomp("resume", moved.run, "--quiet")
    assert (said.status, said.out, jobs_run) == (2, "", [])
    assert "train has" in said.err and "other texts or labels" in said.err and "--accept-changes" in said.err
    assert (moved.run / "journal.jsonl").read_bytes() == before


def test_accepted_changes_start_a_new_run_and_mix_nothing(moved, autocomp, inline, quick_front, jobs_run, finished):
    model = Path(moved.spec["model"])
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    shutil.copytree(model, moved.texts.parent / "model")
    changed = {**config, "hidden_act": "relu"}
    (moved.texts.parent / "model" / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    spec = {**moved.spec, "model": str(moved.texts.parent / "model")}
    (moved.run / "study.json").write_text(json.dumps(spec), encoding="utf-8")
    kept = {p: p.read_bytes() for p in moved.run.rglob("*") if p.is_file() and p.name != "lock"}
    assert "another shape (activation)" in autocomp("resume", moved.run, "--quiet").err
    said = autocomp("resume", moved.run, "--accept-changes", "--quiet")
    assert said.status == 0, said.err
    assert "stays as it is" in said.err and "another shape (activation)" in said.err
    new = moved.run.with_name("run-2")
    assert {p: p.read_bytes() for p in kept} == kept
    assert jobs_run == ["t0001", "t0002", "t0003"] and summary(new)["status"] == "finished"
    teachers = {e["members"]["teacher"]["student"] for r in (new, finished.run) for e in events(r, "teacher")}
    assert len(teachers) == 2
    stages = [{r["artifact"] for r in records(run).values()} for run in (new, moved.run)]
    assert not stages[0] & stages[1]


def test_a_finished_run_is_only_summarised_whatever_changed(finished, autocomp, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("lock"))
    spec = json.loads((run / "study.json").read_text(encoding="utf-8"))
    (run / "study.json").write_text(json.dumps({**spec, "seed": 99}), encoding="utf-8")
    for words in ((), ("--accept-changes",)):
        assert autocomp("resume", run, "--quiet", *words).status == 0
    assert not run.with_name("run-2").exists()


def test_only_a_new_run_has_another_folder(finished, autocomp, tmp_path):
    said = autocomp("resume", finished.run, "--out", tmp_path / "other")
    assert said.status == 2 and "--accept-changes" in said.err


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
