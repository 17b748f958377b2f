"""Subset accuracy: the fraction of texts of which every label is right."""

from __future__ import annotations

from autocomp.metrics import Labels, scores


@scores("labels")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Fraction of equal rows of two 0/1 arrays `[rows, classes]`, in 0 to 1."""
    return float(((labels > 0) == (predictions > 0)).all(-1).mean())
