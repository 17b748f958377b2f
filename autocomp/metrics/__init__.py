"""What score does a task use? One file per metric, each with a function `metric`.

    metric(labels, predictions, classes) -> float
    metric(labels, predictions, classes, *, positive) -> float

`labels` and `predictions` are arrays of equal length, `classes` the number of labels of the task. What stands in them
depends on the form of the answers (`Head.answer_key`): the index of a `label`, 0 and 1 for each of several `labels`,
or a `value`. Larger is better and 1 is perfect. A metric with `positive` is about the label, of two, with that index.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autocomp.registry import Registry

Labels = NDArray[np.number]
Metric = Callable[..., float]

metrics: Registry[Metric] = Registry("metric", "autocomp.metrics", "metric")
F = TypeVar("F", bound=Metric)


def scores(*forms: str) -> Callable[[F], F]:
    """Mark a metric with the forms of answers that it can score; without it that is `label`."""

    def mark(metric: F) -> F:
        metric.forms = forms  # type: ignore[attr-defined]
        return metric

    return mark


def forms_of(metric: str) -> tuple[str, ...]:
    """The forms of answers that a metric can score.

    Raises:
        UnknownName: if there is no such metric.
    """
    forms: tuple[str, ...] = getattr(metrics[metric], "forms", ("label",))
    return forms


def metrics_for(form: str) -> list[str]:
    """Names of the metrics that can score a form of answers, sorted."""
    return [name for name in metrics if form in forms_of(name)]


def needs_positive(metric: str) -> bool:
    """Whether a metric is about one of two labels, and so depends on which is the positive one.

    Raises:
        UnknownName: if there is no such metric.
    """
    return "positive" in inspect.signature(metrics[metric]).parameters


__all__ = ["Labels", "Metric", "forms_of", "metrics", "metrics_for", "needs_positive", "scores"]
