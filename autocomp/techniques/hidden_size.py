"""Narrow the residual stream: dimensions of the hidden size go, the least important first.

All norms, embeddings and linears are cut alike (compare Zhu et al. 2021 and NNI's BERT tutorial, which use masks).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from autocomp.errors import InfeasiblePlan
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique, best, rounded

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

TILE = 32


class HiddenSizeOptions(Options):
    """Fraction of the hidden size kept; `size` gives it exactly."""

    kept: float = Field(default=1.0, gt=0, le=1)
    size: int | None = Field(default=None, ge=8)


def shrink_hidden(student: Student, size: int, scores: np.ndarray) -> Student:
    """The student with a residual stream of `size`, its most important dimensions."""
    from autocomp.models.slicing import keep_hidden

    return replace(student, encoder=keep_hidden(student.encoder, best(scores, size)))


class HiddenSize(Technique[HiddenSizeOptions]):
    """The technique that removes the least important dimensions of the residual stream."""

    summary = "narrow the residual stream (hidden size) to its most important dimensions"
    paper = "Khetan and Karnin 2020 (schuBERT), arXiv:2005.06628"
    stage = Stage.HIDDEN
    touches = frozenset({"hidden"})
    Options = HiddenSizeOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """The fraction of the hidden size kept, from a third to all."""
        return {"kept": Knob((0.34, 0.5, 0.67, 0.84, 1.0))}

    def settle(self, student: Student, options: HiddenSizeOptions, context: Context) -> HiddenSizeOptions:
        """Name the size: all of it, or a multiple of 32."""
        hidden = student.encoder.shape.hidden
        size = options.size or rounded(options.kept * hidden, hidden, TILE)
        if size > hidden:
            raise InfeasiblePlan(f"hidden_size.size must be at most the teacher's {hidden}, got {size}")
        return options.model_copy(update={"size": size})

    def prepare(self, student: Student, options: HiddenSizeOptions, context: Context) -> Student:
        """Remove dimensions."""
        size = self.settle(student, options, context).size or 0
        if size == student.encoder.shape.hidden:
            return student
        # Without any importance every dimension counts alike, so that the first ones stay.
        return shrink_hidden(student, size, context.importance.get("hidden", np.ones(student.encoder.shape.hidden)))

    def planned(self, model: PlannedModel, options: HiddenSizeOptions) -> PlannedModel:
        """A narrower residual stream."""
        return replace(model, shape=replace(model.shape, hidden=options.size or model.shape.hidden))

    def describe(self, options: HiddenSizeOptions, teacher: EncoderShape) -> str:
        """`hidden 256`."""
        return f"hidden {options.size}" if options.size and options.size < teacher.hidden else ""

    def explain(self, options: HiddenSizeOptions, teacher: EncoderShape) -> str:
        """A sentence on how wide a token's state is."""
        if not self.describe(options, teacher):
            return ""
        return f"Between layers a token is {options.size} numbers instead of {teacher.hidden}."


technique = HiddenSize()
