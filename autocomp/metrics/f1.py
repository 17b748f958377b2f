"""Binary F1: the harmonic mean of precision and recall of the positive class."""

from __future__ import annotations

from autocomp.errors import DataError
from autocomp.metrics import Labels


def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """F1 of the last label, in 0 to 1; 0 when it neither occurs nor is predicted.

    Raises:
        DataError: if the task has not exactly two labels.
    """
    if classes != 2:
        raise DataError(f"metric 'f1' needs exactly 2 labels, got {classes}; use 'macro_f1' or 'accuracy'")
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, labels=[1], average="macro", zero_division=0))
