from types import SimpleNamespace

import pytest

from autocomp.errors import ModelError
from autocomp.models.labels import folded, match_labels, own_labels

STARS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
GENERIC = [f"LABEL_{i}" for i in range(12)]
AS_STRINGS = sorted(str(i) for i in range(12))


def rows(own, labels):
    return match_labels("m", own, labels).rows


@pytest.mark.parametrize(
    ("own", "labels", "expected"),
    [
        # the same names
        (["no", "yes"], ["yes", "no"], (1, 0)),
        (GENERIC, sorted(GENERIC), (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)),
        (AS_STRINGS, [str(i) for i in range(12)], (0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3)),
        (["1", "0"], ["0", "1"], (1, 0)),
        (["a", "A"], ["A", "a"], (1, 0)),
        # the same but for case, white space, _ and -
        (["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], ["entailment", "neutral", "contradiction"], (2, 1, 0)),
        (["not_entailment", "entailment"], ["Entailment", "not-entailment"], (1, 0)),
        (["Very Good", "bad "], ["bad", "very good"], (1, 0)),
        ([f"label_{i}" for i in range(3)], ["LABEL_2", "LABEL_0", "LABEL_1"], (2, 0, 1)),
        # numbers
        (["NEG", "POS"], ["0", "1"], (0, 1)),
        (["a", "b", "c"], ["LABEL_2", "LABEL_0", "LABEL_1"], (2, 0, 1)),
        ([f"c{i}" for i in range(12)], [str(i) for i in AS_STRINGS], (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)),
        (STARS, ["1", "2", "3", "4", "5"], (0, 1, 2, 3, 4)),
        (STARS[::-1], ["1", "2", "3", "4", "5"], (4, 3, 2, 1, 0)),
        (STARS, ["0", "1", "2", "3", "4"], (0, 1, 2, 3, 4)),
        (["1", "2", "3"], ["3 stars", "1 star", "2 stars"], (2, 0, 1)),
        (GENERIC, sorted(f"grade {i}" for i in range(12)), (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)),
        # a model without names takes any, in their order
        (["LABEL_0", "LABEL_1"], ["ham", "spam"], (0, 1)),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["-1", "0", "1"], (0, 1, 2)),
        (GENERIC[:5], ["1", "2", "3", "4", "5"], (0, 1, 2, 3, 4)),
    ],
)
def test_each_label_finds_its_row(own, labels, expected):
    assert rows(own, labels) == expected


def test_names_are_the_data_sets_unless_these_are_only_numbers():
    assert match_labels("m", ["NEG", "POS"], ["pos", "neg"]).names == ("pos", "neg")
    assert match_labels("m", ["NEG", "POS"], ["1", "0"]).names == ("POS", "NEG")
    assert match_labels("m", STARS, ["5", "4", "3", "2", "1"]).names == tuple(STARS[::-1])
    assert match_labels("m", ["LABEL_0", "LABEL_1"], ["ham", "spam"]).names == ("ham", "spam")


@pytest.mark.parametrize(
    ("own", "labels", "note"),
    [
        (["no", "yes"], ["yes", "no"], ""),
        (["NO", "YES"], ["no", "yes"], "labels by their names but for case and spelling: no = NO, yes = YES"),
        (["no", "yes"], ["0", "1"], "labels by the model's rows: 0 = no, 1 = yes"),
        (["1 star", "2 stars"], ["1", "2"], "labels by the number in the name: 1 = 1 star, 2 = 2 stars"),
        (
            ["LABEL_0", "LABEL_1"],
            ["ham", "spam"],
            "labels by their order, for the model's have no names; --label-names sets another order: "
            "ham = LABEL_0, spam = LABEL_1",
        ),
    ],
)
def test_what_was_decided_is_a_note(own, labels, note):
    assert match_labels("m", own, labels).note == note


@pytest.mark.parametrize(
    ("own", "labels", "way_out"),
    [
        (
            ["negative", "positive"],
            ["neg", "pos"],
            r'--label-names "neg=NAME,pos=NAME", each NAME one of \[\'negative\'',
        ),
        (["NEG", "POS"], ["1", "2"], r'--label-names "1=NAME,2=NAME"'),
        (
            ["2 stars", "1 star", "0 stars"],
            ["0", "1", "2"],
            r"its rows or the numbers in these names, which differ; .*0=NAME",
        ),
        ([f"class {i}" for i in AS_STRINGS], [str(i) for i in range(12)], "which differ"),
        (["-1", "1"], ["0", "1"], r'"0=NAME,1=NAME"'),
        (["1", "2", "3"], ["0", "1", "2"], r'"0=NAME,1=NAME,2=NAME"'),
        (["LABEL_0", "LABEL_1"], ["LABEL_1", "LABEL_2"], r'"LABEL_1=NAME,LABEL_2=NAME"'),
        (["a", "b"], ["A", "a"], r'"A=NAME,a=NAME"'),
        (STARS, ["1", "2", "3", "4"], r'some of them only; .* --label-names "1 star,2 stars,3 stars,4 stars,5 stars"$'),
        (STARS, ["5 STARS", "1 star"], r'--label-names "1 star,2 stars,3 stars,4 stars,5 STARS"$'),
        (["a", "b", "c"], ["0", "2"], r'--label-names "a,b,c"$'),
        (["a", "b"], ["a", "b", "c"], "or a model that is not fine-tuned$"),
        (["a", "b", "c"], ["x", "y"], "or a model that is not fine-tuned$"),
        (["a", "a"], ["a", "b"], "two labels of one name"),
    ],
)
def test_labels_that_do_not_match_are_refused_with_a_way_out(own, labels, way_out):
    with pytest.raises(ModelError, match=way_out):
        match_labels("m", own, labels)


def test_the_labels_that_are_offered_in_full_match():
    assert rows(["NEG", "NEU", "POS"], ["neg", "NEU", "pos"]) == (0, 1, 2)


def test_a_sign_is_part_of_a_number():
    assert folded("-1") != folded("1") and folded("not - at_all ") == "notatall"


def test_long_lists_of_labels_are_cut():
    with pytest.raises(ModelError, match=r"… \(88 more\)") as caught:
        match_labels("m", [f"a{i}x1" for i in range(100)], [f"b{i}x1" for i in range(100)])
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("id2label", "label2id", "expected"),
    [
        ({0: "a", 1: "b"}, {"a": 0, "b": 1}, ("a", "b")),
        ({1: "b", 0: "a"}, {}, ("a", "b")),
        ({0: "LABEL_0", 1: "LABEL_1"}, {"ham": 0, "spam": 1}, ("ham", "spam")),
        ({0: "LABEL_0", 1: "LABEL_1"}, {"ham": 0}, ("LABEL_0", "LABEL_1")),
        ({0: "a", 1: "b"}, {"x": 0, "y": 1}, ("a", "b")),
    ],
)
def test_the_models_own_names(id2label, label2id, expected):
    assert own_labels(SimpleNamespace(id2label=id2label, label2id=label2id)) == expected
