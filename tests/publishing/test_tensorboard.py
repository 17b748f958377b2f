import sys
import warnings

import pytest

from autocomp.cli import main
from autocomp.journal import read_records

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tensorboard's own, at import
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return events


def test_trials_are_curves(run, publish):
    said = publish(run, "tensorboard")
    events = read(run / "tensorboard" / "run")
    sizes = [r.measurements["artifact_size"].value for r in read_records(run / "journal.jsonl") if r.measurements]
    found = events.Scalars("trials/bytes")
    assert [e.value for e in found] == pytest.approx(sizes)
    assert events.Scalars("best/bytes")[-1].value == pytest.approx(min(sizes))
    assert said["command"][0] == "tensorboard" and said["total"] == 9


def test_members_have_knobs_and_figures(run, publish):
    publish(run, "tensorboard")
    found = {f.parent.name: read(f.parent) for f in (run / "tensorboard" / "run").glob("m*/events*")}
    assert sorted(found) == [f"m{i:02d}" for i in range(1, 10)]
    assert all("_hparams_/session_start_info" in e.summary_metadata for e in found.values())
    assert found["m01"].Scalars("member/bytes")[0].value == 420_000


def test_again_makes_it_anew(run, publish):
    publish(run, "tensorboard")
    publish(run, "tensorboard")
    assert len(list((run / "tensorboard" / "run").glob("events*"))) == 1
    assert len(read(run / "tensorboard" / "run").Scalars("trials/bytes")) == 39


def test_without_the_library(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert main(["publish", str(run), "--to", "tensorboard"]) == 2
    assert "pip install 'autocomp[tensorboard]'" in capsys.readouterr().err
