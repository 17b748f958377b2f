"""One real prepared study (fine-tuned teacher, knowledge, baseline) for all tests of this folder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from autocomp.budget import Fidelity, parse_budget
from autocomp.executors.local import LocalCrew
from autocomp.measurement import Measurement
from autocomp.plan import CompressionPlan, Step
from autocomp.record import Journal, TrialRecord
from autocomp.search.context import StudyContext
from autocomp.search.setup import check
from autocomp.search.spending import Purse
from autocomp.search.study import _prepare_teacher
from autocomp.spec import read_study
from autocomp.testing.studies import write_study


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOCOMP_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """`context`, `checked` and `run` of the tiny study, as the loop finds them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOMP_CACHE", str(folder / "cache"))
        checked = check(read_study(str(write_study(folder / "study")), {}))
        run = folder / "run"
        journal = Journal(run / "journal.jsonl")
        journal.append("study")
        purse = Purse(parse_budget("1h"), journal, cores=1)
        context = _prepare_teacher(checked, run, purse, None, LocalCrew(1, 1))
    return SimpleNamespace(context=context, checked=checked, run=run)


@pytest.fixture
def context(prepared) -> StudyContext:
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
