"""Labels: numbers or names, their order, several at once, and names given for them."""

import json

import pytest

from autocomp.errors import DataError
from autocomp.tasks import resolve_task
from autocomp.tasks._labels import in_order, label_values, numbering

STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
GRADES = ("awful", "bad", "so-so", "good", "great")


def values(*given):
    notes = []
    return label_values("f", "label", {"train": list(given)}, notes)["train"], notes


def index(known, given, class_names=None):
    return numbering("f", known, class_names, given).index


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["0", "1", " 1", None, ""], [0, 1, 1, None, None]),
        (["1.0", "2.0"], [1, 2]),
        ([1, "0", 2.0], [1, 0, 2]),
        (["007", "7", "10"], ["007", "7", "10"]),
        (["+1", "-1"], ["+1", "-1"]),
        (["9" * 5000, "1"], ["9" * 5000, "1"]),
        (["1", "x"], ["1", "x"]),
        ([True, False, None], ["true", "false", None]),
        ([float("nan"), 1.0], [None, 1]),
        (["12345678901234567890", "12345678901234567891"], [12345678901234567890, 12345678901234567891]),
        (["NA", "null", "None", "nan"], ["NA", "null", "None", "nan"]),
        (["very good", "good", "bad"],) * 2,
        (["Paris, France", "Rome, Italy", "Oslo, Norway", "Bonn, Germany"],) * 2,
    ],
)
def test_what_looks_like_a_number_keeps_its_meaning(given, expected):
    found = values(*given)[0]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_decimals_that_are_whole_are_told():
    assert values("1.0", "0.0")[1] == ["labels 0.0, 1.0 are read as whole numbers"]
    with pytest.raises(DataError, match=r"got 1\.5 \(a score"):
        values("1.0", "1.5")


def test_whether_labels_are_numbers_is_decided_for_all_splits_together():
    found = label_values("f", "label", {"train": ["01", "10"], "search": ["10"]}, [])
    assert found == {"train": ["01", "10"], "search": ["10"]}


def test_numbers_are_ordered_by_size_also_inside_names():
    assert in_order([10, 9, -1, 2]) == [-1, 2, 9, 10]
    assert in_order([f"LABEL_{i}" for i in (0, 1, 10, 11, 2)]) == [
        "LABEL_0",
        "LABEL_1",
        "LABEL_2",
        "LABEL_10",
        "LABEL_11",
    ]
    assert in_order(["b", "a", "B", "007", "07", "10"]) == ["007", "07", "10", "B", "a", "b"]


@pytest.mark.parametrize(
    "labels",
    [
        [["a"], ["b", "a"]],
        [{"a": 1}],
        ["['joy']", "['joy', 'fear']"],
        ["[0, 1]", "[1, 0]"],
        ["27", "2,27", "2", "14,2"],
        ["joy", "fear", "joy, fear"],
        ["joy|fear", "joy", "fear"],
        ["joy;fear", "joy;hope", "fear;hope", "joy;fear;hope"],
        ["0 1 0", "1 0 0"],
        ["joy fear", "joy", "fear"],
        ["joy/fear", "joy", "fear"],
        ["0,1", "1,1"],
    ],
)
def test_several_labels_a_row_are_refused_in_every_form(labels):
    with pytest.raises(DataError, match="several labels a row, such as"):
        values(*labels)


def test_a_label_alone_in_a_list_is_that_label():
    """As annotation tools export them; a row without one, or with two, makes it several labels a row."""
    found, notes = values(["neg"], ["pos"], None)
    assert (found, notes) == (["neg", "pos", None], ["labels are lists of one element each, which is the label"])
    assert values([1], [0])[0] == [1, 0]
    with pytest.raises(DataError, match="several labels a row"):
        values(["neg"], ["pos"], [])


def test_several_columns_of_zeros_and_ones_are_refused_unless_one_is_named(tmp_path):
    rows = [{"text": f"t {i}", "toxic": i % 2, "insult": i // 2 % 2} for i in range(60)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="toxic, insult hold 0 or 1: --label toxic,insult reads several labels a row"):
        resolve_task(str(path))
    task = resolve_task(str(path), label="toxic")
    assert (
        "columns insult hold 0 or 1 too and are not read; --label toxic,insult reads several labels a row" in task.notes
    )


@pytest.mark.parametrize(
    ("known", "given", "expected"),
    [
        ([1, 2, 3, 4], STARS, [0, 1, 2, 3]),  # by the numbers in the names
        ([2, 4], STARS, [1, 3]),
        ([1, 2], ("LABEL_0", "LABEL_1", "LABEL_2"), [1, 2]),
        ([0, 1, 2, 3, 4], STARS, [0, 1, 2, 3, 4]),
        ([0, 2], GRADES, [0, 2]),  # a count from 1 has no 0
        ([1, 5], GRADES, [0, 4]),  # a count from 0 ends at 4
        ([1, 2, 3, 4, 5], GRADES, [0, 1, 2, 3, 4]),
        ([-1, 0, 1], ("no", "maybe", "yes"), [0, 1, 2]),
        ([10, 20], ("no", "yes"), [0, 1]),
        ([1, 2, 3, 4], tuple(f"{i}={name}" for i, name in enumerate(GRADES, 1)), [0, 1, 2, 3]),
        ([3, 7], ("7=yes", "3=no"), [1, 0]),
        (["n", "y"], ("y=yes", "n=no"), [1, 0]),
        (["bad", "good"], ("good", "bad"), [1, 0]),
    ],
)
def test_names_that_fit_in_one_way(known, given, expected):
    found = index(known, given)
    assert [found[value] for value in known] == expected


@pytest.mark.parametrize(
    ("known", "given"),
    [
        ([1, 2, 3, 4], GRADES),
        ([2, 3], GRADES),
        ([-1, 1], ("a", "b", "c")),
        ([1, 7], ("a", "b", "c")),
        ([1], ("a", "b")),
    ],
)
def test_names_that_fit_in_several_ways_are_refused(known, given):
    with pytest.raises(DataError, match="in more than one way; say which is which, as in label_names"):
        index(known, given)


@pytest.mark.parametrize(
    ("known", "given", "said"),
    [
        (["a", "b"], ("x", "y"), "label_names x, y do not fit the labels of train, a, b"),
        ([0, 1, 2], ("x", "y"), "do not fit the labels of train, 0, 1, 2"),
        ([0, 1], ("x", "X"), "must differ"),
        (list(range(1001)), None, "holds 1001 different values"),
    ],
)
def test_names_that_do_not_fit_are_refused(known, given, said):
    with pytest.raises(DataError, match=said):
        numbering("f", known, None, given)


def test_a_count_from_one_is_told():
    assert numbering("f", [1, 2], None, ("no", "yes")).note == "label names: 1 is 'no', 2 is 'yes'"
    assert numbering("f", [0, 1], None, ("no", "yes")).note == ""


def test_class_names_given_in_another_order_stay_with_their_values():
    assert index(["neg", "pos"], ("Pos", "Neg"), ("neg", "pos")) == {"neg": 1, "pos": 0}
    assert index(["neg", "pos"], ("bad", "good"), ("neg", "pos")) == {"neg": 0, "pos": 1}


def test_labels_that_differ_in_case_only_are_told(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"t {i}", "label": ["yes", "Yes", "no"][i % 3]} for i in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    note = "labels 'Yes', 'yes' differ in case, spaces or form only, and are told apart"
    assert note in resolve_task(str(path)).notes


def test_class_names_are_renamed_one_by_one():
    found = numbering("f", ["neg", "pos"], ("neg", "pos"), ("pos=good", "neg=bad"))
    assert (found.index, found.labels) == ({"neg": 0, "pos": 1}, ("bad", "good"))
    assert found.note == "label names: neg is 'bad', pos is 'good'"
