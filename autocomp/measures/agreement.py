"""How often the artifact gives the teacher's answer."""

from __future__ import annotations

import numpy as np

from autocomp.heads import heads
from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (Figure("agreement", "agreement with the teacher", "fraction", "more", held_out="held_out_agreement"),)


def measure(subject: Subject) -> Measurement:
    """Fraction of inputs with equal answers, as the head counts them, with its standard error."""
    equal = heads[subject.kind].equal(subject.answers, subject.teacher_answers, subject.unit)
    value, error = float(equal.mean()), float(equal.std() / np.sqrt(len(equal)))
    return Measurement(value, "fraction", error, len(equal))
