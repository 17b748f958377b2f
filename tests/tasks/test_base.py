"""TaskData: its fingerprint, its checks, and what importing the room costs."""

import dataclasses
import subprocess
import sys

import pytest

from autocomp.errors import DataError, UnknownName
from autocomp.tasks import Example, TaskData


def data(**changes):
    rows = (Example("good", None, 1), Example("bad", None, 0))
    task = TaskData("t", ("no", "yes"), "accuracy", rows, (Example("fine", None, 1),), (Example("poor", None, 0),))
    return dataclasses.replace(task, **changes)


def test_equal_content_has_an_equal_fingerprint_whatever_its_name():
    assert data().fingerprint == data(name="other", notes=("said",)).fingerprint
    assert len(data().fingerprint) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ("no", "oui")},
        {"metric": "f1"},
        {"max_length": 64},
        {"positive": 0},
        {"train": (Example("bad", None, 0), Example("good", None, 1))},
        {"train": (Example("good", "", 1), Example("bad", None, 0))},
        {"search": (Example("poor", None, 0),), "held_out": (Example("fine", None, 1),)},
        {"search": (), "held_out": (Example("fine", None, 1), Example("poor", None, 0))},
    ],
)
def test_other_content_has_another_fingerprint(changes):
    assert data(**changes).fingerprint != data().fingerprint


def test_pairs_are_recognised():
    assert not data().pairs
    assert data(train=(Example("a", "b", 0), Example("c", "d", 1))).pairs


def test_wrong_metrics_and_lengths_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        data(metric="accurracy")
    with pytest.raises(DataError, match=r"'f1' needs exactly 2 labels, got 3 labels \(a, b, c\); use 'macro_f1'"):
        data(metric="f1", labels=("a", "b", "c"))
    with pytest.raises(DataError, match="at least 8 tokens, got 2"):
        data(max_length=2)


def test_importing_the_room_imports_nothing_heavy():
    heavy = "{'torch', 'datasets', 'pandas', 'sklearn', 'transformers', 'pyarrow'}"
    code = f"import sys, autocomp.tasks as t; t.tasks.names(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
