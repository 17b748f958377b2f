"""Scores with their uncertainty, so that no front shows a difference that is noise.

A metric depends on the rows only through how often each (label, prediction) occurs. So the delete-one jackknife
(Efron and Stein 1981) is exact with one evaluation per distinct pair instead of one per row, and has no random draw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from autocomp.metrics import Labels, Metric, metrics, needs_positive

Statistic = Callable[[Labels], float]


def score(metric: str, labels: Labels, predictions: Labels, classes: int, positive: int | None = None) -> float:
    """Score of predictions, without its error, which takes many times as long."""
    return float(_metric(metric, classes, positive)(labels, predictions, classes))


def score_with_error(
    metric: str, labels: Labels, predictions: Labels, classes: int, positive: int | None = None
) -> tuple[float, float]:
    """Score of predictions and its standard error.

    Args:
        metric: a name in `autocomp.metrics`.
        labels, predictions: `[rows]` integer arrays.
        classes: number of labels of the task.
        positive: index of the positive label (`TaskData.positive`), for metrics about one; None takes the last.

    Returns:
        The score; its standard error: binomial, `sqrt(p (1 - p) / n)`, for accuracy and the jackknife's otherwise.

    Raises:
        UnknownName: if there is no such metric.
        ValueError: if the arrays are empty or differ in length.
    """
    rows = _rows(labels, predictions)
    scored = _metric(metric, classes, positive)
    value = scored(rows[:, 0], rows[:, 1], classes)
    if metric == "accuracy":
        return value, float(np.sqrt(value * (1 - value) / len(rows)))
    return value, _jackknife(rows, lambda kept: scored(kept[:, 0], kept[:, 1], classes))


def paired_difference(
    metric: str, labels: Labels, a: Labels, b: Labels, classes: int, positive: int | None = None
) -> tuple[float, float]:
    """Score of `a` minus score of `b` on the same rows, and the standard error of that difference.

    Rows that both get right or both get wrong cancel, so this is far sharper than comparing two separate errors.

    Args:
        metric: a name in `autocomp.metrics`.
        labels, a, b: `[rows]` integer arrays; two models' predictions for the same labels.
        classes: number of labels of the task.

    Raises:
        UnknownName: if there is no such metric.
        ValueError: if the arrays are empty or differ in length.
    """
    rows = _rows(labels, a, b)
    scored = _metric(metric, classes, positive)

    def difference(kept: Labels) -> float:
        return scored(kept[:, 0], kept[:, 1], classes) - scored(kept[:, 0], kept[:, 2], classes)

    if metric == "accuracy":
        gains = (rows[:, 1] == rows[:, 0]).astype(float) - (rows[:, 2] == rows[:, 0])
        return float(gains.mean()), float(gains.std() / np.sqrt(len(rows)))
    return difference(rows), _jackknife(rows, difference)


def _metric(name: str, classes: int, positive: int | None) -> Metric:
    """The metric; one that is about the positive label with that label bound."""
    if not needs_positive(name):
        return metrics[name]
    return partial(metrics[name], positive=classes - 1 if positive is None else positive)


def _rows(*columns: Labels) -> Labels:
    arrays = [np.asarray(column) for column in columns]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1 or not len(arrays[0]):
        raise ValueError(f"labels and predictions need one equal length above 0, got {[a.shape for a in arrays]}")
    return np.stack(arrays, axis=1)


def _jackknife(rows: Labels, statistic: Statistic) -> float:
    """Standard error of a statistic of `[n, columns]` rows; equal rows give equal leave-one-out values."""
    if len(rows) < 2:
        return 0.0
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    left_out = np.array([statistic(np.delete(rows, index, axis=0)) for index in first])
    mean = np.average(left_out, weights=counts)
    n = len(rows)
    return float(np.sqrt((n - 1) / n * (counts * (left_out - mean) ** 2).sum()))
