"""Standard errors: against formulas, and against the spread of scores over many drawn data sets."""

import numpy as np
import pytest

from autocomp.errors import UnknownName
from autocomp.metrics import metrics
from autocomp.tasks import paired_difference, score_with_error
from autocomp.tasks._scores import _jackknife


def draw(rng, rows=400, right=0.8):
    labels = (rng.random(rows) < 0.3).astype(int)
    first = np.where(rng.random(rows) < right, labels, 1 - labels)
    second = np.where(rng.random(rows) < 0.95, first, 1 - first)
    return labels, first, second


def test_accuracy_has_the_binomial_error():
    labels, guesses = np.ones(100, dtype=int), np.array([1] * 90 + [0] * 10)
    assert score_with_error("accuracy", labels, guesses, 2) == pytest.approx((0.9, 0.03))


def test_paired_accuracy_by_hand():
    labels = np.ones(100, dtype=int)
    a, b = np.array([1] * 90 + [0] * 10), np.array([1] * 84 + [0] * 16)
    value, error = paired_difference("accuracy", labels, a, b, 2)
    assert value == pytest.approx(0.06)
    assert error == pytest.approx((0.06 * 0.94 / 100) ** 0.5)


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "matthews"])
def test_the_jackknife_equals_leaving_every_row_out(metric):
    labels, guesses, _ = draw(np.random.default_rng(1), rows=40)
    score = metrics[metric]
    left_out = [score(np.delete(labels, i), np.delete(guesses, i), 2) for i in range(40)]
    expected = np.sqrt(39 / 40 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert score_with_error(metric, labels, guesses, 2) == pytest.approx((score(labels, guesses, 2), expected))


def test_the_jackknife_of_a_mean_is_its_textbook_error():
    rows = np.random.default_rng(0).integers(0, 4, (50, 1))
    assert _jackknife(np.mean, rows) == pytest.approx(rows.std(ddof=1) / 50**0.5)


@pytest.mark.parametrize(
    "metric", ["accuracy", *(pytest.param(m, marks=pytest.mark.slow) for m in ("macro_f1", "matthews"))]
)
def test_errors_match_the_spread_over_fresh_data(metric):
    rng = np.random.default_rng(2)
    sets = [draw(rng) for _ in range(60)]
    scores = [score_with_error(metric, labels, a, 2) for labels, a, _ in sets]
    differences = [paired_difference(metric, labels, a, b, 2) for labels, a, b in sets]
    for found in (scores, differences):
        values, errors = np.array(found).T
        assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.3)
    assert np.mean([e for _, e in differences]) < np.mean([e for _, e in scores])


def test_equal_predictions_differ_by_nothing():
    labels, a, _ = draw(np.random.default_rng(3))
    for metric in metrics:
        assert paired_difference(metric, labels, a, a, 2) == (0, 0)


def test_the_sign_is_a_minus_b():
    labels = np.array([0, 1] * 10)
    for metric in metrics:
        assert paired_difference(metric, labels, labels, 1 - labels, 2)[0] > 0


@pytest.mark.parametrize("guesses", [np.array([], dtype=int), np.array([0, 1])])
def test_unequal_or_empty_arrays_are_refused(guesses):
    with pytest.raises(ValueError, match="one equal length above 0"):
        score_with_error("accuracy", np.array([], dtype=int) if not len(guesses) else np.array([0]), guesses, 2)


def test_an_unknown_metric_is_named_with_near_ones():
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        score_with_error("acuracy", np.array([0]), np.array([0]), 2)


def test_scores_and_differences_are_about_the_positive_label():
    labels, a, b = draw(np.random.default_rng(5))
    for positive in (0, 1):
        flipped = [1 - part for part in (labels, a, b)] if positive == 0 else [labels, a, b]
        assert score_with_error("f1", labels, a, 2, positive) == score_with_error("f1", *flipped[:2], 2)
        assert paired_difference("f1", labels, a, b, 2, positive) == paired_difference("f1", *flipped, 2)
    assert score_with_error("f1", labels, a, 2, 0)[0] != score_with_error("f1", labels, a, 2, 1)[0]
    assert score_with_error("accuracy", labels, a, 2, 0) == score_with_error("accuracy", labels, a, 2, 1)
