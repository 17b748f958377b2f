"""How often the artifact gives the teacher's label."""

from __future__ import annotations

import numpy as np

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (Figure("agreement", "agreement with the teacher", "fraction", "more", held_out="held_out_agreement"),)


def measure(subject: Subject) -> Measurement:
    """Fraction of inputs with equal labels, with its binomial standard error."""
    equal = subject.logits.argmax(-1) == subject.teacher.argmax(-1)
    value = float(equal.mean())
    return Measurement(value, "fraction", float(np.sqrt(value * (1 - value) / len(equal))), len(equal))
