"""What score does a task use? One file per metric, each with a function `metric`.

    metric(labels, predictions, classes) -> float
    metric(labels, predictions, classes, *, positive) -> float

`labels` and `predictions` are arrays of equal length, `classes` the number of labels of the task. What stands in them
depends on the kind of answer (`autocomp.heads`): the index of a label, a number, or 0 and 1 for each label. Larger is
better and 1 is perfect. A metric of the second form is about one of two labels, whose index is `positive`.
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


def scores(*kinds: str) -> Callable[[F], F]:
    """Mark a metric with the kinds of answers that it can score; without it that is `classification`."""

    def mark(metric: F) -> F:
        metric.kinds = kinds  # type: ignore[attr-defined]
        return metric

    return mark


def kinds_of(metric: str) -> tuple[str, ...]:
    """The kinds of answers that a metric can score.

    Raises:
        UnknownName: if there is no such metric.
    """
    kinds: tuple[str, ...] = getattr(metrics[metric], "kinds", ("classification",))
    return kinds


def metrics_for(kind: str) -> list[str]:
    """Names of the metrics that can score a kind of answer, sorted."""
    return [name for name in metrics if kind in kinds_of(name)]


def needs_positive(metric: str) -> bool:
    """Whether a metric is about one of two labels, and so depends on which is the positive one.

    Raises:
        UnknownName: if there is no such metric.
    """
    return "positive" in inspect.signature(metrics[metric]).parameters


__all__ = ["Labels", "Metric", "kinds_of", "metrics", "metrics_for", "needs_positive", "scores"]
