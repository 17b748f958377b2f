"""How many layers ran on real inputs, and which part of the inputs left at each exit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autocomp.measurement import Measurement
from autocomp.measures import Subject


def exit_depth(depths: Iterable[int]) -> Measurement:
    """The mean of layers run; `details` has the fraction of inputs by depth, of each depth that occurred."""
    layers, counts = np.unique(np.array(list(depths)), return_counts=True)
    shares = {str(int(depth)): float(n / counts.sum()) for depth, n in zip(layers, counts, strict=True)}
    return Measurement(float(layers @ counts / counts.sum()), "layers", n=int(counts.sum()), details=shares)


def measure(subject: Subject) -> Measurement:
    """Layers that ran in the subject's run, where each input stands alone."""
    return exit_depth(subject.depths.tolist())
