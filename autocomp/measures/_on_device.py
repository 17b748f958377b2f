"""The mark of a measure whose number depends on the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def on_device(measure: F) -> F:
    """Mark a measure that has to run on the device; an executor leaves it to the node that is that device."""
    measure.on_device = True  # type: ignore[attr-defined]
    return measure
