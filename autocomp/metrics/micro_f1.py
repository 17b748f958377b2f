"""Micro F1 of several labels a text: of all (text, label) pairs together, so that common labels count most."""

from __future__ import annotations

from autocomp.metrics import Labels, scores


@scores("labels")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """F1 over all entries of two 0/1 arrays `[rows, classes]`, in 0 to 1; 0 where nothing holds and nothing is said."""
    right = float(((labels > 0) & (predictions > 0)).sum())
    named = float((labels > 0).sum() + (predictions > 0).sum())
    return 2 * right / named if named else 0.0
