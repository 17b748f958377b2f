"""How is a number obtained? One file per measure: a function from what was seen of an artifact to a `Measurement`."""

from collections.abc import Callable

from autocomp.measurement import Measurement
from autocomp.measures._subject import Subject
from autocomp.registry import Registry

Measure = Callable[[Subject], Measurement]

measures: Registry[Measure] = Registry("measure", "autocomp.measures", "measure")


def runs_on_device(name: str) -> bool:
    """Whether a measure has to run on the device that its number holds for; its function is then `@on_device`.

    Raises:
        UnknownName: there is no such measure.
    """
    return bool(getattr(measures[name], "on_device", False))


__all__ = ["Measure", "Subject", "measures", "runs_on_device"]
