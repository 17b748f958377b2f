"""How long the artifact takes to open: unpacking of its weights included."""

from __future__ import annotations

from autocomp.measurement import Measurement
from autocomp.measures._on_device import on_device
from autocomp.measures._subject import Subject


@on_device
def measure(subject: Subject) -> Measurement:
    """Milliseconds from file to ready session."""
    return Measurement(subject.load_ms, "ms", device=subject.device)
