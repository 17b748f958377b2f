"""Which label F1 is about: asked for, or a guess that is told; never the end of the alphabet in silence."""

import dataclasses
import json

import datasets
import pytest

from autocomp.errors import DataError, SpecError
from autocomp.pipeline.context import read_data, write_data
from autocomp.spec import TaskSpec, read_study
from autocomp.tasks import Example, Task, TaskData, resolve_task, tasks
from autocomp.tasks._positive import is_affirmative


def task(tmp_path, labels, **options):
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"t {i}", "label": labels[i % len(labels)]} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return resolve_task(str(path), **{"metric": "f1", **options})


@pytest.mark.parametrize(
    ("labels", "expected", "why"),
    [
        (["fraud", "legit", "legit"], "fraud", "the affirmative one"),
        (["spam", "ham"], "spam", "the affirmative one"),
        (["Yes", "No"], "Yes", "the affirmative one"),
        ([True, False], "true", "the affirmative one"),
        ([1, -1], "1", "the affirmative one"),
        (["toxic", "non-toxic"], "toxic", "the affirmative one"),
        (["entailment", "not_entailment"], "entailment", "the affirmative one"),
        ([0, 1, 1, 1], "1", "number 1"),
        (["0", "1", "1"], "1", "number 1"),
        (["alarm", "quiet", "quiet"], "alarm", "a guess: the rarer one in train, 16 of 48 rows"),
        (["x", "y"], "y", "a guess: the last, for both are equally frequent in train"),
    ],
)
def test_the_guess_is_told(tmp_path, labels, expected, why):
    data = task(tmp_path, labels)
    assert data.positive_label == data.labels[data.positive] == expected
    assert f"positive label: {expected!r} ({why}; --positive names another)" in data.notes


@pytest.mark.parametrize(
    ("labels", "asked", "options", "expected"),
    [
        (["fraud", "legit"], "legit", {}, "legit"),
        (["fraud", "legit"], " LEGIT ", {}, "legit"),
        ([0, 1], "0", {}, "0"),
        ([0, 1], "good", {"label_names": ["good", "bad"]}, "good"),
        ([0, 1], "0", {"label_names": ["good", "bad"]}, "good"),
        ([1, 2], "2", {"label_names": ["good", "bad"]}, "bad"),
    ],
)
def test_what_is_asked_for_wins(tmp_path, labels, asked, options, expected):
    data = task(tmp_path, labels, positive=asked, **options)
    assert data.positive_label == expected
    assert f"positive label: {expected!r} (as asked for)" in data.notes


def test_numbers_with_names_keep_their_one(tmp_path):
    assert task(tmp_path, [0, 1], label_names=["spam", "ham"]).positive_label == "ham"
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])})
    rows = {"text": [f"t {i}" for i in range(60)], "label": [i % 2 for i in range(60)]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    assert resolve_task(str(tmp_path / "a.parquet"), metric="f1").positive_label == "a"
    assert resolve_task(str(tmp_path / "a.parquet"), metric="f1", label_names=["a", "b"]).positive_label == "b"


def test_wrong_names_and_other_numbers_of_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match="positive must be a label, fraud, legit, got 'nope'"):
        task(tmp_path, ["fraud", "legit"], positive="nope")
    with pytest.raises(DataError, match="positive='a' needs exactly 2 labels, got a, b, c"):
        task(tmp_path, ["a", "b", "c"], positive="a", metric="macro_f1")


def test_metrics_about_all_labels_need_none_and_say_so(tmp_path):
    data = task(tmp_path, ["yes", "no"], metric="accuracy")
    assert data.positive_label is None
    assert not any("positive" in note for note in data.notes)
    data = task(tmp_path, ["yes", "no"], metric="accuracy", positive="no")
    assert "positive label: 'no' (as asked for), which metric 'accuracy' does not depend on" in data.notes


def test_registered_tasks_take_one_too(monkeypatch):
    rows = tuple(Example(f"row {i}", None, i % 2) for i in range(4))
    data = TaskData("named", ("a", "b"), "f1", rows, rows, rows, ("positive label: 'b' (old)",), positive=0)
    monkeypatch.setattr(tasks, "_built_in", lambda: ["named"])
    monkeypatch.setitem(tasks._loaded, "named", Task("summary", lambda: data, "MIT", "here"))
    assert resolve_task("named").notes == ("positive label: 'a' (the task's own; --positive names another)",)
    assert resolve_task("named", positive="b").positive == 1


def test_it_survives_new_names_another_order_and_the_store(tmp_path):
    data = task(tmp_path, ["fraud", "legit", "legit"])
    assert dataclasses.replace(data, labels=("betrug", "gut")).positive_label == "betrug"
    turned = data.in_order(("legit", "fraud"))
    assert (turned.positive, turned.positive_label) == (1, "fraud")
    assert [turned.labels[row.target] for row in turned.train] == [data.labels[row.target] for row in data.train]
    write_data(data, tmp_path)
    assert read_data(tmp_path) == data
    assert data.fingerprint != dataclasses.replace(data, positive=1).fingerprint
    with pytest.raises(DataError, match="the labels are fraud, legit, got legit, other"):
        data.in_order(("legit", "other"))
    with pytest.raises(DataError, match="positive must be the index of one of two labels, got 2 of 2"):
        dataclasses.replace(data, positive=2)


def test_yaml_may_hold_a_number_or_a_boolean(tmp_path):
    assert TaskSpec(source="x", positive=1).positive == "1"
    assert TaskSpec(source="x", positive=True).positive == "true"
    study = tmp_path / "s.yaml"
    study.write_text("model: m\ntask: {source: t, positive: spam}\n")
    assert read_study(str(study), {}).task.positive == "spam"
    with pytest.raises(SpecError, match=r"task\.positive"):
        read_study(str(study), {"task.positive": ["a"]})


@pytest.mark.parametrize(
    ("label", "other", "expected"),
    [
        ("y", "n", True),
        ("+1", "-1", True),
        ("+", "-", True),
        ("relevant", "irrelevant", False),
        ("safe", "unsafe", False),
        ("unsafe", "safe", True),
    ],
)
def test_affirmative(label, other, expected):
    assert is_affirmative(label, other) is expected
