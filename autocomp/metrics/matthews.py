"""Matthews correlation of labels and predictions (Matthews 1975; several classes: Gorodkin 2004). CoLA's score."""

from __future__ import annotations

from autocomp.metrics import Labels


def metric(labels: Labels, predictions: Labels, classes: int) -> float:
    """Correlation in -1 to 1; 0 when labels or predictions hold one class only."""
    import numpy as np
    from sklearn.metrics import matthews_corrcoef

    # scikit-learn warns about a single class; the answer is 0 by definition, so it need not be asked
    if len(np.unique(labels)) < 2 or len(np.unique(predictions)) < 2:
        return 0.0
    return float(matthews_corrcoef(labels, predictions))
