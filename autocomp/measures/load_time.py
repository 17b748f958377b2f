"""How long the artifact takes to open: unpacking of its weights included."""

from __future__ import annotations

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

ON_DEVICE = True
FIGURES = (Figure("load_ms", "time to load", "ms"),)


def measure(subject: Subject) -> Measurement:
    """Milliseconds from file to ready session."""
    return Measurement(subject.load_ms, "ms", device=subject.device)
