"""What score does a task use? One file per metric, each with a function `metric`.

    metric(labels, predictions, classes) -> float

`labels` and `predictions` are integer arrays of equal length, `classes` the number of labels of the task. Larger is
better and 1 is perfect.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autocomp.registry import Registry

Labels = NDArray[np.integer]
Metric = Callable[[Labels, Labels, int], float]

metrics: Registry[Metric] = Registry("metric", "autocomp.metrics", "metric")

__all__ = ["Labels", "Metric", "metrics"]
