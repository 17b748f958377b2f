"""Spearman's rank correlation of numbers and predictions: whether they are in the same order. STS-B's score."""

from __future__ import annotations

from autocomp.metrics import Labels, scores
from autocomp.metrics.pearson import metric as pearson


@scores("value")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Correlation in -1 to 1 of the ranks of two `[rows]` arrays, equal values sharing one; 0 where all are equal."""
    from scipy.stats import rankdata

    return pearson(rankdata(labels), rankdata(predictions), classes)
