"""Scores with their uncertainty, so that no front shows a difference that is noise.

A metric depends on the rows only through how often each (label, prediction) occurs. So the delete-one jackknife
(Efron and Stein 1981) is exact with one evaluation per distinct pair instead of one per row, and has no random draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from autocomp.metrics import Labels, Metric, metrics, needs_positive

Statistic = Callable[..., float]
DISTINCT, GROUPS = 400, 100
"""With more distinct rows than the first, the jackknife leaves out so many groups instead of each row."""


def score(metric: str, labels: Labels, predictions: Labels, classes: int, positive: int | None = None) -> float:
    """Score of predictions, without its error, which takes many times as long."""
    return float(_metric(metric, classes, positive)(labels, predictions, classes))


def score_with_error(
    metric: str, labels: Labels, predictions: Labels, classes: int, positive: int | None = None
) -> tuple[float, float]:
    """Score of predictions and its standard error.

    Args:
        metric: a name in `autocomp.metrics`.
        labels, predictions: answers as the metric takes them, `[rows]` or `[rows, classes]`.
        classes: number of labels of the task.
        positive: index of the positive label (`TaskData.positive`), for metrics about one; None takes the last.

    Returns:
        The score; its standard error: binomial, `sqrt(p (1 - p) / n)`, for accuracy and the jackknife's otherwise.

    Raises:
        UnknownName: if there is no such metric.
        ValueError: if the arrays are empty or differ in length.
    """
    _check_rows(labels, predictions)
    scored = _metric(metric, classes, positive)
    value = scored(labels, predictions, classes)
    if metric == "accuracy":
        return value, float(np.sqrt(value * (1 - value) / len(labels)))
    return value, _jackknife(lambda ours, theirs: scored(ours, theirs, classes), labels, predictions)


def paired_difference(
    metric: str, labels: Labels, a: Labels, b: Labels, classes: int, positive: int | None = None
) -> tuple[float, float]:
    """Score of `a` minus score of `b` on the same rows, and the standard error of that difference.

    Rows that both get right or both get wrong cancel, so this is far sharper than comparing two separate errors.

    Args:
        metric: a name in `autocomp.metrics`.
        labels, a, b: answers as the metric takes them, `[rows]` or `[rows, classes]`; `a` and `b` are two models'.
        classes: number of labels of the task.

    Raises:
        UnknownName: if there is no such metric.
        ValueError: if the arrays are empty or differ in length.
    """
    _check_rows(labels, a, b)
    scored = _metric(metric, classes, positive)

    def difference(truth: Labels, ours: Labels, theirs: Labels) -> float:
        return scored(truth, ours, classes) - scored(truth, theirs, classes)

    if metric == "accuracy":
        gains = (a == labels).astype(float) - (b == labels)
        return float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    return difference(labels, a, b), _jackknife(difference, labels, a, b)


def _metric(name: str, classes: int, positive: int | None) -> Metric:
    """The metric; one that is about the positive label with that label bound."""
    if not needs_positive(name):
        return metrics[name]
    return partial(metrics[name], positive=classes - 1 if positive is None else positive)


def _check_rows(*arrays: Labels) -> None:
    sizes = [np.shape(array) for array in arrays]
    if len(set(sizes)) != 1 or len(sizes[0]) not in (1, 2) or not sizes[0][0]:
        raise ValueError(f"labels and predictions need one equal length above 0, got {sizes}")


def _jackknife(statistic: Statistic, *arrays: Labels) -> float:
    """Standard error of a statistic of arrays with a row each: equal rows give equal leave-one-out values.

    Where almost every row is another one, as numbers are, as many as `GROUPS` groups of rows are left out in turns.
    """
    rows = np.concatenate([np.asarray(array, float).reshape(len(array), -1) for array in arrays], axis=1)
    if len(rows) < 2:
        return 0.0
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if len(first) > DISTINCT:
        left = [np.arange(start, len(rows), GROUPS) for start in range(GROUPS)]
        values, weights = _without(statistic, arrays, left), np.ones(GROUPS, int)
    else:
        values, weights = _without(statistic, arrays, first), counts
    mean, n = np.average(values, weights=weights), weights.sum()
    return float(np.sqrt((n - 1) / n * (weights * (values - mean) ** 2).sum()))


def _without(statistic: Statistic, arrays: Sequence[Labels], left: Sequence[np.ndarray | int] | np.ndarray) -> Labels:
    """The statistic without each of these rows, or groups of rows."""
    return np.array([statistic(*(np.delete(array, rows, axis=0) for array in arrays)) for rows in left])
