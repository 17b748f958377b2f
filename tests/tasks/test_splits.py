"""Cutting and separating splits: deterministic, in proportion, disjoint, and all of it said."""

import random
from collections import Counter

import pytest

from autocomp.errors import DataError
from autocomp.tasks import Example
from autocomp.tasks._splits import cut, finish_task


def rows(counts, start=0):
    made = [Example(f"text {label} {start + i}", None, label) for label, n in enumerate(counts) for i in range(n)]
    random.Random(3).shuffle(made)
    return made


def finish(splits, labels=("a", "b"), **options):
    return finish_task("t", labels, "accuracy", splits, **options)


def test_missing_splits_are_ten_per_cent_each_in_proportion():
    task = finish({"train": rows([800, 200])})
    for split in (task.search, task.held_out):
        assert Counter(row.target for row in split) == {0: 80, 1: 20}
    assert len(task.train) == 800
    assert "search: cut from train, 100 rows, stratified, seed 0" in task.notes
    assert "held_out: cut from train, 100 rows, stratified, seed 0" in task.notes


def test_only_the_missing_split_is_cut():
    task = finish({"train": rows([100, 100]), "search": rows([9, 9], start=1000)})
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [180, 18, 20]
    assert not any(note.startswith("search: cut") for note in task.notes)
    task = finish({"train": rows([100, 100]), "held_out": rows([9, 9], start=1000)})
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [180, 20, 18]


def test_a_cut_split_has_at_most_two_thousand_rows():
    task = finish({"train": rows([20000, 5000])})
    assert len(task.search) == len(task.held_out) == 2000
    assert Counter(row.target for row in task.search) == {0: 1600, 1: 400}
    assert len(finish({"train": rows([20000, 5000])}, cut_most=None).search) == 2500


def test_cuts_are_deterministic_disjoint_and_lose_nothing():
    rng = random.Random(7)
    for _ in range(60):
        counts = [rng.randint(0, 60) for _ in range(rng.randint(2, 6))]
        made = rows(counts)
        most = rng.choice([None, 3, 10, 2000])
        parts = cut(made, ("held_out", "search"), len(counts), most=most)
        assert parts == cut(made, ("held_out", "search"), len(counts), most=most)
        assert sorted(row for part in parts.values() for row in part) == sorted(made)
        assert len(parts["search"]) == len(parts["held_out"]) <= (most or len(made))
        kept = Counter(row.target for row in parts["train"])
        assert all(kept[label] for label, count in enumerate(counts) if count)
        for part in parts.values():
            assert part == [row for row in made if row in set(part)], "the order is kept"


def test_another_seed_cuts_otherwise():
    made = rows([100, 100])
    assert cut(made, ("search",), 2, seed=0) != cut(made, ("search",), 2, seed=1)


def test_splits_of_random_data_never_share_a_text():
    rng = random.Random(11)
    for _ in range(40):
        splits = {
            split: [Example(f"  Word {rng.randint(0, 150)} ", None, label) for _ in range(80) for label in (0, 1)]
            for split in rng.sample(["search", "held_out"], rng.randint(0, 2))
        }
        splits["train"] = [Example(f"word {i}", None, i % 2) for i in range(400)]
        task = finish(splits)
        texts = [{" ".join(row.text.lower().split()) for row in s} for s in (task.train, task.search, task.held_out)]
        assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])


def test_duplicates_across_splits_go_from_the_less_precious_one():
    train = [*rows([20, 20]), Example("In Both", None, 0), Example("in search", None, 1)]
    search = [*rows([5, 5], start=100), Example("in  both ", None, 0), Example("In Search", None, 1)]
    held_out = [*rows([5, 5], start=200), Example("IN BOTH", None, 1)]
    task = finish({"train": train, "search": search, "held_out": held_out})
    assert len(task.held_out) == 11
    assert len(task.search) == 11
    assert len(task.train) == 40
    assert "search: 1 rows removed that stand in held_out" in task.notes
    assert "train: 2 rows removed that stand in search or held_out" in task.notes


def test_pairs_are_duplicates_only_if_both_texts_are():
    train = [Example("a", str(i), i % 2) for i in range(30)]
    held_out = [Example("a", "1", 1), Example("1", "a", 0), Example("b", "2", 0)]
    task = finish({"train": train, "search": [Example("s", "x", 0), Example("s", "y", 1)], "held_out": held_out})
    assert len(task.train) == 29


def test_repeats_in_train_go_and_conflicts_are_counted():
    extra = [Example("Same", None, 0), Example("same", None, 0), Example("same", None, 1)]
    given = {"search": rows([3, 3], start=50), "held_out": rows([3, 3], start=90)}
    task = finish({"train": [*rows([10, 10]), *extra], **given})
    assert len(task.train) == 22
    assert "train: 1 repeated rows removed" in task.notes
    assert "train: texts with more than one label: 1" in task.notes


def test_repeats_in_the_held_out_split_stay_and_are_counted():
    twice = [*rows([3, 3], start=90), Example("x", None, 0), Example("X", None, 0)]
    task = finish({"train": rows([10, 10]), "search": rows([3, 0], start=50), "held_out": twice})
    assert len(task.held_out) == 8
    assert "held_out: 1 repeated rows left in place" in task.notes
    assert "search: no row of b" in task.notes


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": []}, "the train split is empty; it needs at least one row"),
        ({"train": rows([5, 5]), "search": []}, "the search split is empty; it needs at least one row"),
        ({"train": rows([50, 0])}, "train has a single label, 'a'"),
        ({"train": rows([1, 1])}, "2 rows are too few to cut held_out and search from"),
        ({"train": rows([9, 9]), "search": rows([3, 0]), "held_out": rows([3, 0])}, "the search split is empty once"),
        (
            {"train": rows([3, 3]), "search": rows([4, 4]), "held_out": rows([2, 2], start=80)},
            "the train split is empty once",
        ),
    ],
)
def test_unusable_splits_are_refused(splits, message):
    with pytest.raises(DataError, match=message):
        finish(splits)


def test_a_label_that_train_loses_to_another_split_is_refused():
    splits = {
        "train": [*rows([9, 9, 0]), Example("rare", None, 2)],
        "search": rows([3, 3, 0], start=50),
        "held_out": [*rows([3, 3, 0], start=90), Example("Rare", None, 2)],
    }
    with pytest.raises(DataError, match="held_out has label 'c', which train lacks"):
        finish(splits, labels=("a", "b", "c"))


@pytest.mark.parametrize(
    "other",
    ["STRASSE ONE", "stra\u00dfe\u00a0one", "Stra\u00dfe\u200b one\ufeff", "\uff33trasse one", "s\u00adtrasse\tone"],
)
def test_near_duplicates_are_compared_in_normal_form(other):
    train = [*rows([9, 9]), Example("stra\u00dfe one", None, 0)]
    held_out = [*rows([3, 3], start=90), Example(other, None, 0)]
    task = finish({"train": train, "search": rows([3, 3], start=50), "held_out": held_out})
    assert len(task.train) == 18
    assert "train: 1 rows removed that stand in search or held_out" in task.notes


def test_accents_make_other_texts_and_composition_does_not():
    train = [*rows([9, 9]), Example("cafe\u0301", None, 0), Example("cafe", None, 0)]
    held_out = [*rows([3, 3], start=90), Example("caf\u00e9", None, 0)]
    task = finish({"train": train, "search": rows([3, 3], start=50), "held_out": held_out})
    assert "cafe" in {row.text for row in task.train} and len(task.train) == 19


def test_pairs_the_other_way_round_stay_and_are_noted():
    train = [Example(f"first {i}", f"second {i}", i % 2) for i in range(30)]
    held_out = [Example("Second 1", "FIRST 1", 1), Example("second 2", "first 3", 0)]
    task = finish({"train": train, "search": [Example("s", "x", 0), Example("s", "y", 1)], "held_out": held_out})
    assert len(task.train) == 30
    assert "train: 1 pairs stand the other way round in search or held_out; they are kept" in task.notes
