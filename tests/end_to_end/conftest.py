"""Tiny real studies, run through the command line."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autocomp.journal import read_lines
from autocomp.study import workers as crews
from autocomp.testing.studies import write_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cache(tiny_cache):
    """One stage cache for all: the teacher is fine-tuned once unless a test wants its own."""
    return tiny_cache


@pytest.fixture(autouse=True)
def environment(cache, monkeypatch):
    monkeypatch.setenv("AUTOCOMP_CACHE", str(cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def tiny(tiny_parts, tmp_path):
    """`tiny(**changes)` writes a study of the shared model and texts; its path."""
    return lambda **changes: write_study(tmp_path / "study", **{**tiny_parts, **changes})


@pytest.fixture
def autocomp(call):
    return call


@pytest.fixture
def inline(monkeypatch):
    """Jobs run in this process, so that a test can make them fail."""
    monkeypatch.setattr(crews, "share_of_cores", lambda workers: (0, 1))


@pytest.fixture(scope="session")
def finished(tiny_run):
    """A finished run of three trials with a real worker: folder and what `search` said."""
    return tiny_run


def start(*words, cache):
    """`python -m autocomp …` in a new process group."""
    env = {**os.environ, "AUTOCOMP_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "autocomp", *map(str, words)]
    pipe = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env, cwd=ROOT, start_new_session=True)


@pytest.fixture
def started():
    """`started(*words, cache=…)`; what still runs at the end is killed."""
    processes = []

    def run(*words, cache):
        processes.append(start(*words, cache=cache))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def check_books(run: Path, trials: int) -> None:
    """Every job charged once, every record once, the ledger adds up and covers the whole time at work."""
    events = list(read_lines(run / "journal.jsonl"))
    names = [e["record"]["id"] for e in events if e["event"] == "record"]
    assert [n for n, count in Counter(names).items() if count > 1] == []
    began = {e["job"] for e in events if e["event"] == "started"}
    charged = Counter(e["job"] for e in events if e["event"] == "charge" and "job" in e)
    assert charged == dict.fromkeys(began, 1)
    assert {n.rsplit("-", 1)[0] for n in names} == began
    assert sum(e["charge"]["trials"] for e in events if e["event"] == "charge") == len(began) <= trials
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    charges = [e["charge"][kind] for e in events if e["event"] == "charge" for kind in ("wall_s", "cpu_s", "gpu_s")]
    assert min(charges) >= 0


@pytest.fixture
def books():
    return check_books
