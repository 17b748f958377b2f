"""What a study says of a teacher that is no good."""

import numpy as np
import pytest

from autocomp.study.concerns import best_order, better_in_another_order, cut_short, no_better_than_one_answer
from autocomp.tasks import Example, TaskData

NAMES = ("contradiction", "entailment", "neutral")


def task(labels=NAMES, metric="accuracy", positive=None):
    rows = tuple(Example(f"text {i}", None, i % len(labels)) for i in range(6))
    return TaskData("t", labels, metric, rows, rows, rows, positive=positive)


def right_on(truth, part, classes, seed=0):
    """Answers that are right on a part of the rows and drawn at random on the others."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < part, truth, rng.integers(0, classes, len(truth)))


@pytest.fixture
def truth():
    return np.random.default_rng(1).integers(0, 3, 600)


def test_a_good_teacher_is_no_concern(truth):
    answers = right_on(truth, 0.9, 3)
    assert no_better_than_one_answer(task(), truth, answers, ours=True) is None
    assert better_in_another_order(NAMES, truth, answers) is None
    assert cut_short(100, 100, "10m") is None and cut_short(None, None, "10m") is None


@pytest.mark.parametrize(("ours", "mend"), [(True, "train it longer"), (False, "look whether its labels mean")])
def test_a_teacher_that_guesses_is_told_with_what_to_do(truth, ours, mend):
    said = no_better_than_one_answer(task(), truth, right_on(truth, 0.0, 3), ours)
    assert "no better than always answering" in said and "on 600 rows" in said and mend in said


@pytest.mark.parametrize(("right", "is_told"), [(264, True), (279, True), (285, False), (460, False)])
def test_two_standard_errors_decide(right, is_told):
    """Of 498 pairs the larger class has 250; the paired error is about 16 rows, so 264 right (53.0 %) says nothing."""
    truth = np.arange(498) % 2
    truth[-2:] = 0
    wrong = np.random.default_rng(3).permutation(498)[right:]
    answers = truth.copy()
    answers[wrong] = 1 - answers[wrong]
    assert (no_better_than_one_answer(task(("no", "yes")), truth, answers, ours=True) is not None) == is_told


def test_one_that_nearly_always_says_the_same_is_no_good_though_it_is_surely_better():
    truth = np.array([0] * 250 + [1] * 248)
    answers = np.where(np.arange(498) < 484, 0, 1)
    assert no_better_than_one_answer(task(("no", "yes")), truth, answers, ours=True) is not None


def test_a_teacher_that_always_says_the_same_is_told_by_every_metric():
    truth = np.array([0] * 90 + [1] * 10)
    for metric, positive in (("accuracy", None), ("macro_f1", None), ("matthews", None), ("f1", 1), ("f1", 0)):
        data = task(("legit", "fraud"), metric, positive)
        assert no_better_than_one_answer(data, truth, np.zeros(100, int), True) is not None, metric


def test_a_rare_class_that_is_found_is_no_concern_for_a_metric_that_is_about_it():
    truth = np.array([0] * 380 + [1] * 20)
    answers = truth.copy()
    answers[:12] = 1  # accuracy 0.97, where never answering fraud has 0.95
    assert no_better_than_one_answer(task(("legit", "fraud"), "f1", 1), truth, answers, True) is None


def test_labels_in_another_order_are_found_and_named(truth):
    answers = np.array([2, 0, 1])[right_on(truth, 0.9, 3)]
    said = better_in_another_order(NAMES, truth, answers)
    assert "contradiction is entailment" in said and "entailment is neutral" in said
    assert "--label-names entailment,neutral,contradiction" in said
    assert best_order(truth, answers, 3).tolist() == [1, 2, 0]


def test_two_labels_that_are_swapped_are_found():
    truth = np.arange(200) % 2
    said = better_in_another_order(("no", "yes"), truth, 1 - right_on(truth, 0.8, 2))
    assert "no is yes, yes is no" in said and "--label-names yes,no" in said


@pytest.mark.parametrize("classes", [2, 3, 20, 77])
def test_chance_chooses_no_order(classes):
    """A teacher that knows nothing has a best order too; on rows that did not choose it, it is no better."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth, answers = rng.integers(0, classes, 400), rng.integers(0, classes, 400)
        assert better_in_another_order(tuple(map(str, range(classes))), truth, answers) is None


def test_few_rows_and_labels_without_rows_are_no_trouble():
    assert better_in_another_order(("a", "b"), np.array([0]), np.array([1])) is None
    assert best_order(np.array([0, 0]), np.array([0, 0]), 4).tolist() == [0, 1, 2, 3]


def test_a_teacher_that_ran_out_of_time_is_told():
    assert "for 120 of 939 steps, all that half of the budget 10m" in cut_short(120, 939, "10m")
