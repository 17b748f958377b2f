"""How is a number obtained? One file per measure: a function from what was seen of an artifact to a `Measurement`."""

import sys
from collections.abc import Callable

from autocomp.measurement import Measurement
from autocomp.measures._subject import Subject
from autocomp.registry import Registry

Measure = Callable[[Subject], Measurement]

measures: Registry[Measure] = Registry("measure", "autocomp.measures", "measure")


def on_device(name: str) -> bool:
    """Whether a measure has to be taken on the device: its file says `ON_DEVICE = True`."""
    return bool(getattr(sys.modules[measures[name].__module__], "ON_DEVICE", False))


__all__ = ["Measure", "Subject", "measures", "on_device"]
