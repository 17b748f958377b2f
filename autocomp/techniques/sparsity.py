"""Unstructured sparsity: the smallest weights become zero, stored as a bitmask and the rest.

Magnitude over each matrix' own deviation, ranked over the whole model, so that layers differ (Han et al. 2015,
arXiv:1506.02626; Gordon et al. 2020, arXiv:2002.08307). It makes the file smaller, never faster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import EVERY, Context, Options, PlannedModel, Stage, Technique, check_groups

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class SparsityOptions(Options):
    """Fraction of all linear weights that become zero; `per_group` gives each group's fraction exactly."""

    fraction: float = Field(default=0.0, ge=0, lt=1)
    per_group: dict[str, Annotated[float, Field(ge=0, lt=1)]] | None = None


def shared_out(magnitudes: dict[str, np.ndarray], fraction: float) -> dict[str, float]:
    """Fraction of each group that falls below one common threshold on its scaled magnitudes."""
    everything = np.concatenate(list(magnitudes.values()))
    rank = int(fraction * (len(everything) - 1))
    threshold = np.partition(everything, rank)[rank] if len(everything) else 0.0
    return {
        group: round(float(np.mean(values < threshold)), 4) if len(values) else 0.0
        for group, values in magnitudes.items()
    }


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
                size = weights[name].abs()
                cut = torch.kthvalue(size.flatten(), 1 + int(per_group[group] * (size.numel() - 1))).values
                weights[name].mul_(size >= cut)
            formats[name] = WeightFormat(formats[name].bits if name in formats else 32, sparse=True)
    return replace(student, encoder=encoder, formats=formats)


class Sparsity(Technique[SparsityOptions]):
    """The technique that zeroes the smallest linear weights."""

    summary = "zero the smallest weights and store only the rest (smaller file, same speed)"
    paper = "Gordon et al. 2020, arXiv:2002.08307"
    stage = Stage.SPARSITY
    touches = frozenset({"linears.zeros"})
    architectures = EVERY
    Options = SparsityOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The fraction of zeros, from none to 70 %."""
        return {"fraction": Knob((0.7, 0.6, 0.5, 0.4, 0.3, 0.0))}

    def settle(self, student: Student, options: SparsityOptions, context: Context) -> SparsityOptions:
        """Name each group's fraction."""
        from autocomp.models.linears import scaled_magnitudes

        if options.per_group is not None:
            check_groups(student, options.per_group, "sparsity")
        if options.per_group is not None or options.fraction == 0:
            return options
        per_group = shared_out(scaled_magnitudes(student.encoder), options.fraction)
        return options.model_copy(update={"per_group": per_group})

    def convert(self, student: Student, options: SparsityOptions, context: Context) -> Student:
        """Zero the smallest weights."""
        per_group = self.settle(student, options, context).per_group
        return sparsify(student, per_group) if per_group else student

    def planned(self, model: PlannedModel, options: SparsityOptions) -> PlannedModel:
        """Zeros of each group, the mean where they are not shared out yet."""
        return replace(model, zeros={**(options.per_group or {}), "": options.fraction})

    def describe(self, options: SparsityOptions, teacher: EncoderShape) -> str:
        """`50 % sparse`."""
        return f"{options.fraction:.0%} sparse".replace("%", " %") if options.fraction else ""

    def explain(self, options: SparsityOptions, teacher: EncoderShape) -> str:
        """A sentence on how many weights are zero."""
        if not options.fraction:
            return ""
        zeros = f"{100 * options.fraction:.0f} % of the linear weights, the smallest ones, are zero"
        return f"{zeros}: this saves bytes and no time."


technique = Sparsity()
