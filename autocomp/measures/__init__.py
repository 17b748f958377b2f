"""How is a number obtained? One file per measure: a function from what was seen of an artifact to a `Measurement`."""

from collections.abc import Callable

from autocomp.measurement import Measurement
from autocomp.measures._subject import Subject
from autocomp.registry import Registry

Measure = Callable[[Subject], Measurement]

measures: Registry[Measure] = Registry("measure", "autocomp.measures", "measure")

__all__ = ["Measure", "Subject", "measures"]
