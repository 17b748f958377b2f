"""Macro F1: the plain mean of the F1 of every class, so that rare classes count as much as common ones."""

from __future__ import annotations

from autocomp.metrics import Labels, scores


@scores("label", "labels")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Mean F1 over all `classes`, in 0 to 1; a class that neither occurs nor is predicted counts as 0.

    Args:
        labels, predictions: indices `[rows]`, or 0 and 1 for each class `[rows, classes]`.
    """
    if labels.ndim == 2:
        right = ((labels > 0) & (predictions > 0)).sum(0)
        named = (labels > 0).sum(0) + (predictions > 0).sum(0)
        return float((2 * right / named.clip(min=1)).mean())
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, labels=list(range(classes)), average="macro", zero_division=0))
