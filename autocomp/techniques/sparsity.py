"""Unstructured sparsity: the smallest weights become zero, stored as a bitmask and the rest.

Magnitude over each matrix' own deviation, ranked over the whole model, so that layers differ (Han et al. 2015,
arXiv:1506.02626; Gordon et al. 2020, arXiv:2002.08307). It makes the file smaller, never faster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique, check_groups
from autocomp.techniques._zeros import shared_out, sparsify

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class SparsityOptions(Options):
    """Fraction of all linear weights that become zero; `per_group` gives each group's fraction exactly."""

    fraction: float = Field(default=0.0, ge=0, lt=1)
    per_group: dict[str, Annotated[float, Field(ge=0, lt=1)]] | None = None


class Sparsity(Technique[SparsityOptions]):
    """The technique that zeroes the smallest linear weights."""

    summary = "zero the smallest weights and store only the rest (smaller file, same speed)"
    paper = "Gordon et al. 2020, arXiv:2002.08307"
    stage = Stage.SPARSITY
    touches = frozenset({"linears.zeros"})
    architectures = ANY_ARCHITECTURE
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
