"""R squared: the share of the numbers' variance that predictions explain, so that their scale counts too."""

from __future__ import annotations

from autocomp.metrics import Labels, scores


@scores("value")
def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """1 less squared error over variance, of two `[rows]` arrays; below 0 if the mean would do better."""
    spread = float(((labels - labels.mean()) ** 2).sum())
    error = float(((labels - predictions) ** 2).sum())
    return 1.0 - error / spread if spread > 0 else 0.0
