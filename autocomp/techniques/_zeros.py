"""Which weights become zero: the smallest, by one threshold for the whole model over each matrix' own deviation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.models.student import Student


def shared_out(magnitudes: dict[str, np.ndarray], fraction: float) -> dict[str, float]:
    """Fraction of each group that falls below one common threshold on its scaled magnitudes."""
    everything = np.concatenate(list(magnitudes.values()))
    rank = int(fraction * (len(everything) - 1))
    threshold = np.partition(everything, rank)[rank] if len(everything) else 0.0
    return {
        group: round(float(np.mean(values < threshold)), 4) if len(values) else 0.0
        for group, values in magnitudes.items()
    }


def survivors(weight: Tensor, fraction: float) -> Tensor:
    """Which weights of a matrix stay when a fraction of them, the smallest, become zero."""
    import torch

    size = weight.abs()
    return size >= torch.kthvalue(size.flatten(), 1 + int(fraction * (size.numel() - 1))).values


def sparsify(student: Student, per_group: dict[str, float]) -> Student:
    """A copy of the student whose smallest linear weights are zero, marked to be stored sparse.

    Weights of low rank stay as they are: they would no longer be of that rank.
    """
    import copy

    import torch

    from autocomp.formats import WeightFormat
    from autocomp.models.linears import linear_groups

    encoder, formats = copy.deepcopy(student.encoder), dict(student.formats)
    weights = dict(encoder.named_parameters())
    for group, names in linear_groups(encoder.shape).items():
        for name in [n for n in names if n in weights] if per_group[group] > 0 else ():
            with torch.no_grad():
                weights[name].mul_(survivors(weights[name], per_group[group]))
            formats[name] = WeightFormat(formats[name].bits if name in formats else 32, sparse=True)
    return replace(student, encoder=encoder, formats=formats)
