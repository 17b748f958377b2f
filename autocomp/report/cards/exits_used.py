"""After how many layers the held-out texts were answered."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from autocomp.report.cards._subject import Subject


class ExitsUsed(TypedDict):
    """Numbers of layers that ran, ascending, and the fraction of texts of each."""

    depths: list[int]
    fractions: list[float]


def part(subject: Subject) -> ExitsUsed | None:
    """Numbers of layers that ran, ascending, and the fraction of texts of each; None where nobody noted them."""
    if subject.seen is None or subject.seen.depths is None or not len(subject.seen.depths):
        return None
    depths, counts = np.unique(subject.seen.depths, return_counts=True)
    return {"depths": depths.tolist(), "fractions": (counts / counts.sum()).tolist()}
