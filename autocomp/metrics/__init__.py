"""What score does a task use? One file per metric, each with a function `metric`.

    metric(labels, predictions, classes) -> float
    metric(labels, predictions, classes, *, positive) -> float

`labels` and `predictions` are integer arrays of equal length, `classes` the number of labels of the task. Larger is
better and 1 is perfect. A metric of the second form is about one of two labels, whose index is `positive`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autocomp.registry import Registry

Labels = NDArray[np.integer]
Metric = Callable[..., float]

metrics: Registry[Metric] = Registry("metric", "autocomp.metrics", "metric")


def needs_positive(metric: str) -> bool:
    """Whether a metric is about one of two labels, and so depends on which is the positive one.

    Raises:
        UnknownName: if there is no such metric.
    """
    return "positive" in inspect.signature(metrics[metric]).parameters


__all__ = ["Labels", "Metric", "metrics", "needs_positive"]
