"""Pearson's correlation of numbers and predictions: whether they rise together in a straight line."""

from __future__ import annotations

import numpy as np

from autocomp.metrics import Labels, scores


@scores("value")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Correlation of two `[rows]` arrays in -1 to 1; 0 where all of one are equal."""
    ours, theirs = labels - labels.mean(), predictions - predictions.mean()
    norm = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    return float((ours * theirs).sum()) / norm if norm > 0 else 0.0
