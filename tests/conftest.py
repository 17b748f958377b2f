"""One real finished study and one that is only prepared: the test process that needs one first makes it."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from autocomp.budget import Fidelity
from autocomp.cli import main
from autocomp.journal import Journal
from autocomp.journal.events import StudyBegun
from autocomp.measurement import Measurement
from autocomp.plan import CompressionPlan, Step
from autocomp.record import TrialRecord
from autocomp.spec import read_study
from autocomp.testing.studies import write_bert, write_study, write_texts


def once(folder, make):
    """The folder, in which one process of the test session calls `make(folder)`; the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            folder.with_suffix(".done").touch()
    return folder


def run_command(*words):
    """A command line in this process: `status`, `out`, `err`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())


def digests(run):
    """Of a run's files, but for its lock, which whoever asks for it opens."""
    files = [p for p in run.rglob("*") if p.is_file() and p.name != "lock"]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="session")
def call():
    """`call(*words)`."""
    return run_command


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes of this test session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_parts(shared):
    """`model` and `texts` as `write_study` wants them."""

    def make(folder):
        write_bert(folder / "bert")
        write_texts(folder / "texts")

    folder = once(shared / "tiny_parts", make)
    return {"model": str(folder / "bert"), "texts": str(folder / "texts")}


@pytest.fixture(scope="session")
def tiny_cache(shared):
    """A stage cache: what one study of the tiny parts has made, the next finds, in whichever process."""
    return shared / "tiny_cache"


@pytest.fixture(scope="session")
def tiny_run(shared, tiny_parts, tiny_cache):
    """The `run` of a study of three trials with a real worker, what `search` said of it, and the `study`'s file.

    A test that would change the run takes a copy.
    """

    def make(folder):
        study = write_study(folder / "study", **tiny_parts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUTOCOMP_CACHE", str(tiny_cache))
            patch.setenv("OMP_NUM_THREADS", "1")
            said = run_command("search", study, "--out", folder / "run", "--quiet", "--json")
        assert said.status == 0, said.err
        (folder / "said.json").write_text(json.dumps({"summary": json.loads(said.out), "err": said.err}))

    folder = once(shared / "tiny_run", make)
    run, said = folder / "run", json.loads((folder / "said.json").read_text())
    before = digests(run)
    yield SimpleNamespace(run=run, study=folder / "study" / "tiny.yaml", **said)
    assert digests(run) == before, "a test changed the run that all tests share"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """One real prepared study: its teacher fine-tuned and measured, no trial made.

    `context`, `checked` and `run` of the tiny study, as the loop finds them.
    """
    import torch

    from autocomp.executors.local import LocalPool
    from autocomp.study.preparation import Preparation
    from autocomp.study.run import open_run
    from autocomp.study.validate import check

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOMP_CACHE", str(folder / "cache"))
        checked = check(read_study(str(write_study(folder / "study")), {}))
        run = folder / "run"
        journal = Journal(run / "journal.jsonl")
        journal.append(StudyBegun())
        context = Preparation(open_run(run, checked, journal, LocalPool(1, 1))).teacher()
    return SimpleNamespace(context=context, checked=checked, run=run)


@pytest.fixture
def context(prepared):
    return prepared.context


def plan(**steps) -> CompressionPlan:
    """`plan(depth={"layers": 2})`."""
    return CompressionPlan(tuple(Step(name, options) for name, options in steps.items()))


def record(name, nbytes=1000, ms=1.0, score=0.9, steps=100, layers=1, status="complete") -> TrialRecord:
    """A record with the measures that objectives and members look at."""
    numbers = {
        "artifact_size": (nbytes, "bytes"),
        "compressed_size": (nbytes, "bytes"),
        "latency": (ms, "ms"),
        "task_score": (score, "fraction"),
        "agreement": (score, "fraction"),
        "load_time": (1.0, "ms"),
        "parameters": (nbytes, "parameters"),
        "survey_size": (1.0, "% of BERT-base"),
    }
    details = {"p50": ms, "p95": 2 * ms, "without_embeddings": 0.5}
    measured = {k: Measurement(v, u, spread=0.01, details=details) for k, (v, u) in numbers.items()}
    return TrialRecord(
        name, plan(depth={"layers": layers}), {}, Fidelity(0, steps), status, measured if status == "complete" else {}
    )


@pytest.fixture
def plans():
    return plan


@pytest.fixture
def records():
    return record


@pytest.fixture
def yaml_file(tmp_path):
    """Write a mapping to a YAML file; its path as text."""

    def write(name: str, data) -> str:
        file = Path(tmp_path) / name
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return str(file)

    return write


@pytest.fixture
def rng():
    return np.random.default_rng(0)
