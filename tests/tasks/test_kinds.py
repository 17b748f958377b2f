"""Which kind of answer a label column is for, how its values become targets, and what is refused."""

import csv
import json

import datasets
import pytest

from autocomp.errors import DataError, UnknownName
from autocomp.pipeline.context import read_data, write_data
from autocomp.tasks import resolve_task

EMOTIONS = ("anger", "fear", "joy")


def table(path, rows):
    """A file of rows, as its name says."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
    elif path.suffix == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(str(path))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def held(i):
    """The emotions of row i: each of the eight sets as often."""
    return [name for bit, name in enumerate(EMOTIONS) if i >> bit & 1]


def rows_of(label, count=80, key="label"):
    return [{"text": f"text {i}", key: label(i)} for i in range(count)]


def every_row(task):
    return {row.text: row.target for row in (*task.train, *task.search, *task.held_out)}


@pytest.mark.parametrize(
    ("ending", "options", "label"),
    [
        ("jsonl", {}, held),
        ("parquet", {}, held),
        ("csv", {"kind": "multi_label"}, lambda i: "|".join(held(i))),
        ("csv", {"kind": "multi_label"}, lambda i: ", ".join(held(i))),
        ("csv", {"kind": "multi_label"}, lambda i: str(held(i))),
        ("csv", {"kind": "multi_label"}, lambda i: json.dumps(held(i))),
        ("jsonl", {"label_names": EMOTIONS}, lambda i: [int(name in held(i)) for name in EMOTIONS]),
        (
            "csv",
            {"kind": "multi_label", "label_names": EMOTIONS},
            lambda i: " ".join(str(i >> b & 1) for b in range(3)),
        ),
        ("jsonl", {"label_names": EMOTIONS}, lambda i: [EMOTIONS.index(name) for name in held(i)]),
        ("jsonl", {}, lambda i: [*held(i), *held(i)]),
    ],
)
def test_lists_are_several_labels_a_row_in_every_form(tmp_path, ending, options, label):
    task = resolve_task(table(tmp_path / f"a.{ending}", rows_of(label)), **options)
    assert (task.kind, task.labels, task.metric) == ("multi_label", EMOTIONS, "micro_f1")
    assert every_row(task) == {f"text {i}": tuple(EMOTIONS.index(n) for n in held(i)) for i in range(80)}
    assert not [note for note in task.notes if "dropped" in note]


@pytest.mark.parametrize(("no", "yes"), [(0, 1), ("0", "1"), (False, True), ("False", "True"), (0.0, 1.0)])
def test_several_columns_of_zeros_and_ones_are_a_label_each(tmp_path, no, yes):
    rows = [{"text": f"text {i}", **{n: yes if n in held(i) else no for n in EMOTIONS}} for i in range(80)]
    task = resolve_task(table(tmp_path / "a.jsonl", rows), label="joy, anger,fear")
    assert (task.kind, task.labels) == ("multi_label", ("joy", "anger", "fear"))
    assert every_row(task)["text 6"] == (0, 2)
    assert any(note.startswith("columns joy, anger, fear say of each label") for note in task.notes)
    named = resolve_task(table(tmp_path / "b.jsonl", rows), label="joy,anger,fear", label_names=("j", "a", "f"))
    assert named.labels == ("j", "a", "f")


def test_a_column_whose_name_has_a_comma_is_one_column(tmp_path):
    rows = [{"text": f"t {i}", "a,b": "xy"[i % 2], "a": 0, "b": 1} for i in range(40)]
    assert resolve_task(table(tmp_path / "a.jsonl", rows), label="a,b").labels == ("x", "y")


def test_rows_without_a_label_stay_and_those_of_which_nothing_is_known_go(tmp_path):
    rows = [*rows_of(held), {"text": "unknown", "label": None}]
    task = resolve_task(table(tmp_path / "a.jsonl", rows))
    assert every_row(task)["text 8"] == () and "unknown" not in every_row(task)
    assert "train: 1 rows without label dropped" in task.notes


def test_one_label_in_each_list_is_one_label_a_row_unless_several_are_asked_for(tmp_path):
    path = table(tmp_path / "a.jsonl", rows_of(lambda i: [EMOTIONS[i % 3]]))
    assert resolve_task(path).kind == "classification"
    assert every_row(resolve_task(path, kind="multi_label"))["text 1"] == (1,)


def test_names_of_class_labels_in_lists_are_kept(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "labels": datasets.List(datasets.ClassLabel(names=["10", "9", "joy"]))}
    )
    made = {
        "text": [f"text {i}" for i in range(80)],
        "labels": [[b for b in range(3) if i >> b & 1] for i in range(80)],
    }
    datasets.Dataset.from_dict(made, features=features).to_parquet(str(tmp_path / "a.parquet"))
    task = resolve_task(str(tmp_path / "a.parquet"))
    assert (task.kind, task.labels) == ("multi_label", ("10", "9", "joy"))
    assert every_row(task)["text 5"] == (0, 2)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_numbers_with_fractions_are_learnt_as_numbers(tmp_path, ending):
    rows = [{"text_a": f"a {i}", "text_b": f"b {i}", "score": i / 8 - 2} for i in range(80)]
    task = resolve_task(table(tmp_path / f"a.{ending}", rows))
    assert (task.kind, task.labels, task.metric) == ("regression", ("score",), "spearman")
    assert every_row(task)["a 0"] == -2.0 and isinstance(every_row(task)["a 8"], float)
    assert "column 'score' holds numbers with fractions: kind regression" in task.notes


def test_whole_numbers_are_labels_unless_numbers_are_asked_for(tmp_path):
    path = table(tmp_path / "a.jsonl", rows_of(lambda i: i % 5))
    assert resolve_task(path).labels == ("0", "1", "2", "3", "4")
    task = resolve_task(path, kind="regression", label_names=("stars",), metric="pearson")
    assert (task.labels, task.metric, every_row(task)["text 7"]) == (("stars",), "pearson", 2.0)
    many = table(tmp_path / "b.jsonl", rows_of(lambda i: i, 1002))
    with pytest.raises(DataError, match=r"1002 different values.*If they are numbers .*: --kind regression"):
        resolve_task(many)


@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        (lambda i: "joy|fear" if i % 3 else "joy" if i % 2 else "fear", {}, "--kind multi_label takes them apart"),
        (lambda i: float("nan") if i == 4 else i / 3, {}, "row 5 of column 'label' must hold a finite number, got nan"),
        (lambda i: float("inf") if i == 4 else i / 3, {}, "row 5 .* got inf; correct it, leave it empty"),
        (lambda i: "n/a" if i == 4 else f"{i / 3}", {}, "row 5 .* got 'n/a'.* read names with --kind classification"),
        (lambda i: "good" if i % 2 else "bad", {"kind": "regression"}, "row 1 .* must hold a finite number, got 'bad'"),
        (lambda i: i % 2 == 0, {"kind": "regression"}, "must hold a finite number, got True"),
        (lambda i: i / 3, {"kind": "classification"}, "--kind regression learns the number"),
        (lambda i: i / 3, {"label_names": ("a", "b")}, "label_names must be the one name of a number"),
        (lambda i: i / 3, {"metric": "accuracy"}, "metric 'accuracy' cannot score regression; those that can: pearson"),
        (lambda i: i / 3, {"positive": "1"}, "positive='1' needs exactly 2 labels, got label of kind regression"),
        (lambda i: 0.5, {}, "every number in train is the same"),
        (held, {"kind": "classification"}, "several labels a row, such as .*--kind multi_label learns lists"),
        (held, {"metric": "f1"}, "metric 'f1' cannot score multi_label; those that can: macro_f1"),
        (lambda i: ["a", None], {}, "row 1 of column 'label' must hold labels, got .* one of which is empty"),
        (lambda i: ["a", 1], {}, "must be of one type in every split"),
        (lambda i: ["a", "b"] if i else {"a": 1}, {"kind": "multi_label"}, "must hold a list in every row"),
        (lambda i: [], {}, "no row of train has any label"),
    ],
)
def test_what_cannot_be_learnt_says_what_to_do(tmp_path, label, options, message):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(label)))
    with pytest.raises(DataError, match=message):
        resolve_task(str(path), **options)


def test_joined_names_are_kept_where_one_label_is_asked_for(tmp_path):
    path = table(tmp_path / "a.csv", rows_of(lambda i: ("joy|fear", "joy", "fear")[i % 3]))
    assert resolve_task(path, kind="classification").labels == ("fear", "joy", "joy|fear")
    assert resolve_task(path, kind="multi_label").labels == ("fear", "joy")


def test_several_columns_are_no_single_label_and_hold_zeros_and_ones_only(tmp_path):
    rows = [{"text": f"t {i}", "a": i % 2, "b": 3 if i == 6 else i % 2} for i in range(40)]
    path = table(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"row 7 of column 'b' must hold 0 or 1 .* got 3; correct it"):
        resolve_task(path, label="a,b")
    with pytest.raises(DataError, match="several label columns are several labels a row"):
        resolve_task(path, label="a,b", kind="classification")
    with pytest.raises(DataError, match="no column 'c' for label"):
        resolve_task(path, label="a,c")


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(UnknownName, match="multilabel"):
        resolve_task(table(tmp_path / "a.jsonl", rows_of(held)), kind="multilabel")
    with pytest.raises(DataError, match="has its own columns; leave out kind"):
        resolve_task("tweets", kind="regression")


def test_a_split_of_numbers_that_hides_them_counts_as_missing(tmp_path):
    for split, size in (("train", 80), ("test", 20)):
        rows = [{"text": f"{split} {i}", "label": -1.0 if split == "test" else i / 7} for i in range(size)]
        table(tmp_path / f"{split}.jsonl", rows)
    assert "held_out: ignored, its 20 rows have no labels" in resolve_task(str(tmp_path)).notes


@pytest.mark.parametrize("label", [held, lambda i: i / 7, lambda i: i % 3])
def test_workers_read_the_rows_that_the_driver_wrote(tmp_path, label):
    task = resolve_task(table(tmp_path / "a.jsonl", rows_of(label)))
    write_data(task, tmp_path)
    assert read_data(tmp_path) == task
    assert read_data(tmp_path).fingerprint == task.fingerprint
