import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from autocomp.cli import main
from autocomp.journal import read_records
from autocomp.testing.runs import write_run


def study_of(file, name="run"):
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(file))))


def test_every_record_is_a_trial(run, publish):
    said = publish(run, "optuna")
    study, records = study_of(said["where"]), read_records(run / "journal.jsonl")
    assert (said["added"], said["total"], said["what"]) == (40, 40, "trials")
    assert said["command"] == ["optuna-dashboard", said["where"]]
    assert study.metric_names == ["artifact_size", "latency", "task_score"]
    assert [d.name for d in study.directions] == ["MINIMIZE", "MINIMIZE", "MAXIMIZE"]
    assert [t.user_attrs["record"] for t in study.trials] == [r.id for r in records]
    assert [t.state for t in study.trials].count(TrialState.FAIL) == 1
    for trial, record in zip(study.trials, records, strict=True):
        assert trial.params == dict(record.point)
        if record.status == "complete":
            assert trial.values[study.metric_names.index("artifact_size")] == record.measurements["artifact_size"].value
            assert trial.user_attrs["bytes"] == record.measurements["artifact_size"].value
        else:
            assert trial.user_attrs["error"] == record.error
        assert trial.user_attrs["rung"] == record.fidelity.rung and trial.user_attrs["describe"]
        assert (trial.datetime_complete - trial.datetime_start).total_seconds() == pytest.approx(record.seconds)


def test_the_best_trials_are_those_of_the_objectives(run, publish):
    study = study_of(publish(run, "optuna")["where"])
    sizes = [t.values[study.metric_names.index("artifact_size")] for t in study.best_trials]
    assert 1 < len(sizes) < 39 and min(sizes) == min(t.values[0] for t in study.trials if t.values)


def test_knobs_are_choices_among_the_grid(run, publish, events):
    trial = study_of(publish(run, "optuna")["where"]).trials[0]
    assert {name: list(d.choices) for name, d in trial.distributions.items()} == events[0]["knobs"]


def test_a_run_without_grids_has_numbers(tmp_path, publish, events):
    del events[0]["knobs"]
    trial = study_of(publish(write_run(tmp_path / "run", events), "optuna")["where"]).trials[0]
    assert {type(d).__name__ for d in trial.distributions.values()} == {"FloatDistribution"}


def test_a_value_off_the_grid_is_no_parameter(tmp_path, publish, events):
    name = next(iter(events[0]["knobs"]))
    events[0]["knobs"][name] = events[0]["knobs"][name][:1]
    trials = study_of(publish(write_run(tmp_path / "run", events), "optuna")["where"]).trials
    missing = [t for t in trials if name not in t.params]
    assert missing and all(f"{name} (off the grid)" in t.user_attrs for t in missing)


def test_again_adds_only_what_is_new(grow, publish, events):
    half = len(events) // 2
    first = publish(grow(half), "optuna")
    assert 0 < first["total"] < 40
    before = Path(first["where"]).read_bytes()
    second = publish(grow(len(events)), "optuna")
    assert second["added"] == 40 - first["total"] and second["total"] == 40
    assert publish(grow(len(events)), "optuna")["added"] == 0
    after = Path(first["where"]).read_bytes()
    assert after.startswith(before) and len(study_of(first["where"], "growing").trials) == 40


def test_a_torn_line_is_cut_off(run, publish):
    file = run / "optuna.log"
    publish(run, "optuna")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:30])
    assert publish(run, "optuna")["added"] == 1
    assert len(study_of(file).trials) == 40


def test_several_runs_in_one_file(run, tmp_path, publish, events):
    other = write_run(tmp_path / "other", events)
    for folder in (run, other):
        publish(folder, "optuna", "--out", tmp_path / "all.log")
    assert {len(study_of(tmp_path / "all.log", name).trials) for name in ("run", "other")} == {40}


def refused(capsys, *words):
    assert main(["publish", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_what_is_wrong_is_said(run, events, tmp_path, publish, capsys):
    publish(run, "optuna", "--out", tmp_path / "all.log")
    (tmp_path / "b").mkdir()
    twin = write_run(tmp_path / "b" / "run", [{**events[0], "at": 1.0}, *events[1:]])
    spec = {**events[0]["spec"], "objectives": []}
    bare = write_run(tmp_path / "bare", [{**events[0], "spec": spec}, *events[1:]])
    assert "names no objective" in refused(capsys, bare, "--to", "optuna")
    assert "of another run; choose another --out" in refused(
        capsys, twin, "--to", "optuna", "--out", tmp_path / "all.log"
    )
    (tmp_path / "x.log").write_text(json.dumps({"a": 1}) + "\n")
    assert "no journal of Optuna" in refused(capsys, run, "--to", "optuna", "--out", tmp_path / "x.log")
    assert "cannot be written" in refused(capsys, run, "--to", "optuna", "--out", run)
    assert "optuna" in refused(capsys, run, "--to", "optun")
    assert "is not a run directory" in refused(capsys, tmp_path, "--to", "optuna")


def test_people_are_told_how_to_look(run, capsys):
    assert main(["publish", str(run), "--to", "optuna"]) == 0
    said = capsys.readouterr().out
    assert "40 trials added to 'run', 40 in all" in said and f"optuna-dashboard {run / 'optuna.log'}" in said
