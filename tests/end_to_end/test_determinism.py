"""The same seed gives the same study, and another seed another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autocomp.artifact.files import MODEL
from autocomp.journal import read_lines, read_records
from autocomp.testing.studies import SPACE

ROOT = Path(__file__).parents[2]
ASKED = ("job", "kind", "plan", "describe", "fidelity", "rungs", "source")


INLINE = """
import sys
from autocomp.cli import main
from autocomp.study import workers as crews
from autocomp.study import front
crews.share_of_cores, front.TIMING_S = (lambda workers: (0, 1)), 0.0
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run_of(tiny, tmp_path):
    """`run_of(name, seed, trials, hashing)`: jobs, artifacts by record and models by record of a study.

    Nothing is shared: not the stage cache, not the process, not the order in which it walks through sets.
    """
    study = tiny(teacher_epochs=1.0, space={**SPACE, "start": SPACE["start"][1:]})

    def made(name, seed, trials, hashing):
        run, store = tmp_path / f"run-{name}", tmp_path / name
        own = {"AUTOCOMP_CACHE": str(store), "PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT)}
        words = ["search", study, "--out", run, "--seed", seed, "--budget", trials, "--quiet"]
        command = [sys.executable, "-c", INLINE, *map(str, words)]
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        jobs = [{k: e[k] for k in ASKED} for e in read_lines(run / "journal.jsonl", "started")]
        records = {r.id: r.artifact for r in read_records(run / "journal.jsonl")}
        models = {name: (store / "stages" / key / "artifact" / MODEL).read_bytes() for name, key in records.items()}
        return jobs, records, models

    return made


def test_a_seed_settles_the_study_to_the_last_byte(run_of):
    jobs, records, models = run_of("a", 7, "2trials", "1")
    again = run_of("b", 7, "2trials", "2")
    assert [job["source"] for job in jobs] == ["start", "tpe"]
    assert {name.split("-")[0] for name in models} == {"t0001", "t0002"}
    assert (jobs, records) == again[:2]
    assert [name for name in models if models[name] != again[2][name]] == []


@pytest.mark.slow
def test_another_seed_gives_another_study(run_of):
    one, other = run_of("a", 7, "1trials", "1"), run_of("c", 8, "1trials", "1")
    assert one[0][0]["plan"] == other[0][0]["plan"], "the start is given"
    assert one[2]["t0001-0"] != other[2]["t0001-0"], "what is trained on it follows the seed"
