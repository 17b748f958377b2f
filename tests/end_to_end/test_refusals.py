"""Wrong input: status 2, a message that helps, and nothing started."""

from pathlib import Path

import pytest

from autocomp.study import workers as crews
from autocomp.testing.studies import SPACE


@pytest.fixture
def refused(autocomp, tiny, tmp_path, monkeypatch):
    """Run a search that must be refused; what it said."""

    monkeypatch.setattr(crews, "usable_gpus", lambda: 0)  # wherever the tests run

    def run(*flags, **changes):
        out = tmp_path / "run"
        said = autocomp("search", tiny(**changes), "--out", out, "--quiet", *flags)
        assert (said.status, said.out) == (2, ""), said.err
        assert not out.exists()
        return said.err

    return run


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--searcher", "tpee"], ["no searcher 'tpee'", "did you mean 'tpe'"]),
        (["--objective", "latencyy"], ["latencyy", "did you mean 'latency'"]),
        (["--device", "cpu_1_tread"], ["cpu_1_tread", "did you mean 'cpu_1_thread'"]),
        (["--space", "compond"], ["compond", "did you mean 'compound'"]),
        (["--budget", "8gpu-hours"], ["'8gpu-hours' wants a GPU", "sees none on this machine", "cpu-hours", "--ray"]),
        (["--gpu-share", "0.5"], ["gpu_share 0.5 wants a GPU", "sees none on this machine"]),
        (["--budget", "8gpu-hours", "--gpu-share", "0"], ["counts GPUs, but gpu_share 0 trains on CPUs"]),
        (["--gpu-share", "2"], ["gpu_share", "less than or equal to 1", "2"]),
        (["--budget", "soon"], ["soon", "a budget is like"]),
        (["--model", "/no/such/model"], ["/no/such/model"]),
        (["--task", "/no/such/texts.csv"], ["/no/such/texts.csv"]),
        (["--text", "txt"], ["txt", "text"]),
        (["--metric", "accuracyy"], ["accuracyy", "did you mean 'accuracy'"]),
        (["--workers", "1000"], ["workers", "256"]),
        (["--recovery-steps", "a,b"], ["--recovery-steps"]),
        (["--ray", "nowhere"], ["HOST:PORT", "nowhere"]),
        (["--ray", "127.0.0.1:9"], ["no Ray cluster answers at 127.0.0.1:9", "ray start --head"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(refused, flags, words):
    err = refused(*flags)
    assert [word for word in words if word not in err] == []


def spaces():
    broken = {
        "is not a knob of depth": {"techniques": {"depth": {"layer": 2}}},
        "must be one of 1, 2, 3": {"techniques": {"depth": {"layers": 12}}},
        "techniques": {"techniques": {}},
        "extra": {**SPACE, "extra": 1},
    }
    return broken.items()


@pytest.mark.parametrize(("word", "space"), spaces())
def test_a_space_that_is_wrong_is_named_with_its_file(refused, word, space):
    err = refused(space=space)
    assert word in err and "tiny_space.yaml" in err


def test_a_technique_that_does_not_exist(refused):
    assert "did you mean 'depth'" in refused(space={"techniques": {"deepth": {}}})


@pytest.mark.parametrize("steps", [[0], [20, -60], [20, 20]])
def test_recovery_steps_must_grow(refused, steps):
    err = refused(recovery_steps=steps)
    assert "recovery_steps" in err and "tiny.yaml" in err


def test_an_unknown_key_of_the_study(refused):
    assert "budgets" in (err := refused(budgets="3m")) and "tiny.yaml" in err


def test_an_existing_run_is_never_overwritten(finished, autocomp, tiny, tmp_path):
    before = {p: p.read_bytes() for p in finished.run.rglob("*") if p.is_file() and p.name != "lock"}
    said = autocomp("search", tiny(), "--out", finished.run, "--quiet")
    assert said.status == 2 and "never overwritten" in said.err and "resume" in said.err
    assert {p: p.read_bytes() for p in finished.run.rglob("*") if p.is_file() and p.name != "lock"} == before
    file = tmp_path / "file"
    file.write_text("mine")
    assert autocomp("search", tiny(), "--out", file, "--quiet").status == 2
    assert file.read_text() == "mine"


@pytest.mark.parametrize("verb", ["resume", "show"])
def test_what_is_no_run_is_said_to_be_none(autocomp, tmp_path, verb):
    for folder in (tmp_path, tmp_path / "nothing"):
        said = autocomp(verb, folder)
        assert said.status == 2 and "is not a run directory" in said.err
    assert list(tmp_path.iterdir()) == []


def test_validate_checks_the_same_and_starts_nothing(autocomp, tiny, tmp_path, monkeypatch):
    study = tiny()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert autocomp("validate", study).status == 0
    assert autocomp("validate", study, "--searcher", "tpee").status == 2
    assert list(Path.cwd().iterdir()) == []
