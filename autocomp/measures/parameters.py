"""Numbers that the model has; those that several layers share count once."""

from __future__ import annotations

from pathlib import Path

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (Figure("parameters", "parameters", "count"),)


def parameters(folder: str | Path) -> Measurement:
    """Weights, biases and norms of the file; of a weight of low rank its two factors.

    `details.stored` leaves out zeros that the file does not store: only a sparse format does so, a masked zero counts.
    """
    import onnx

    from autocomp.artifact.files import MODEL
    from autocomp.inspection.stored import stored_weights

    weights = stored_weights(onnx.load(Path(folder) / MODEL))
    stored = float(sum(w.values for w in weights))
    return Measurement(float(sum(w.size for w in weights)), "parameters", details={"stored": stored})


of_files = parameters


def measure(subject: Subject) -> Measurement:
    """Parameters of the subject's file."""
    return parameters(subject.folder)
