"""Binary F1: the harmonic mean of precision and recall of the positive class."""

from __future__ import annotations

from autocomp.errors import DataError
from autocomp.metrics import Labels


def metric(labels: Labels, predictions: Labels, classes: int, *, positive: int = 1) -> float:
    """F1 of the label with index `positive`, in 0 to 1; 0 when it neither occurs nor is predicted.

    Raises:
        DataError: if the task has not exactly two labels, or neither is the positive one.
    """
    if classes != 2:
        raise DataError(f"metric 'f1' needs exactly 2 labels, got {classes}; use 'macro_f1' or 'accuracy'")
    if positive not in (0, 1):
        raise DataError(f"metric 'f1' needs the index of its positive label, 0 or 1, got {positive}")
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, labels=[positive], average="macro", zero_division=0))
