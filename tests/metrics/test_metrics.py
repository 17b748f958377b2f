"""Every metric against values worked out by hand."""

import numpy as np
import pytest

from autocomp.errors import DataError
from autocomp.metrics import metrics, metrics_for, needs_positive

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
GUESSES = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0])
# true positives 3, false negatives 1, false positives 1, true negatives 5


def test_the_names_are_those_the_documentation_gives():
    assert metrics_for("label") == ["accuracy", "f1", "macro_f1", "matthews"]
    assert metrics_for("labels") == ["macro_f1", "micro_f1", "subset_accuracy"]
    assert metrics_for("value") == ["pearson", "r2", "spearman"]
    assert metrics_for("no form") == []


def test_binary_values_by_hand():
    assert metrics["accuracy"](LABELS, GUESSES, 2) == pytest.approx(8 / 10)
    assert metrics["f1"](LABELS, GUESSES, 2) == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert metrics["macro_f1"](LABELS, GUESSES, 2) == pytest.approx((6 / 8 + 10 / 12) / 2)
    assert metrics["matthews"](LABELS, GUESSES, 2) == pytest.approx((3 * 5 - 1 * 1) / (4 * 4 * 6 * 6) ** 0.5)


def test_three_classes_by_hand():
    labels, guesses = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 0])
    # F1: class 0: 1 right of 2 and 2; class 1: 2 right of 2 and 3; class 2: 1 right of 2 and 1
    assert metrics["macro_f1"](labels, guesses, 3) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    # Gorodkin's R: c = 4 right of s = 6, true counts (2, 2, 2), predicted counts (2, 3, 1)
    assert metrics["matthews"](labels, guesses, 3) == pytest.approx((4 * 6 - 12) / ((36 - 14) * (36 - 12)) ** 0.5)


def test_f1_is_about_the_label_that_is_named():
    assert metrics["f1"](LABELS, GUESSES, 2, positive=1) == pytest.approx(6 / 8)
    assert metrics["f1"](LABELS, GUESSES, 2, positive=0) == pytest.approx(10 / 12)
    with pytest.raises(DataError, match="0 or 1, got 2"):
        metrics["f1"](LABELS, GUESSES, 2, positive=2)
    assert [name for name in metrics if needs_positive(name)] == ["f1"]


def test_the_positive_class_of_f1_is_the_last_label_unless_named():
    assert metrics["f1"](np.array([0, 0, 1]), np.array([0, 0, 0]), 2) == 0
    assert metrics["f1"](np.array([1, 1, 0]), np.array([1, 1, 1]), 2) == pytest.approx(4 / 5)


@pytest.mark.parametrize("name", [*metrics_for("label"), *metrics_for("value")])
def test_perfect_is_one_and_larger_is_better(name):
    assert metrics[name](LABELS, LABELS, 2) == pytest.approx(1)
    assert metrics[name](LABELS, 1 - LABELS, 2) < metrics[name](LABELS, GUESSES, 2) < 1


@pytest.mark.parametrize("name", ["f1", "macro_f1", "matthews"])
def test_a_single_class_everywhere_is_a_number_without_a_warning(name):
    zeros = np.zeros(4, dtype=int)
    assert metrics[name](zeros, zeros, 2) == {"f1": 0, "macro_f1": 0.5, "matthews": 0}[name]


def test_f1_refuses_three_classes():
    with pytest.raises(DataError, match="exactly 2 labels, got 3"):
        metrics["f1"](np.array([0, 1, 2]), np.array([0, 1, 2]), 3)
