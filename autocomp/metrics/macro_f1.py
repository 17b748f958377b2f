"""Macro F1: the plain mean of the F1 of every class, so that rare classes count as much as common ones."""

from __future__ import annotations

from autocomp.metrics import Labels


def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Mean F1 over all `classes`, in 0 to 1; a class that neither occurs nor is predicted counts as 0."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, labels=list(range(classes)), average="macro", zero_division=0))
