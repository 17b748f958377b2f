"""Early exits: a linear on the mean state after each layer, and one threshold on its confidence.

DeeBERT (Xin et al. 2020, arXiv:2004.12993), but the heads are fitted to the recovered, frozen student in seconds, so
that they cost no recovery. They lower the mean latency, not the 95th percentile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, Stage, Technique

if TYPE_CHECKING:
    from autocomp.models.shape import EncoderShape
    from autocomp.models.student import Student

OFF = 1.0


class ExitsOptions(Options):
    """A text leaves at the first head whose largest probability reaches `threshold`; 1 leaves exits out."""

    threshold: float = Field(default=OFF, gt=0, le=1)


def set_threshold(student: Student, threshold: float) -> Student:
    """The student leaving at `threshold`; at 1 its exit heads are left out of the file."""
    leaves = threshold < OFF and bool(student.encoder.shape.exits)
    return replace(student, exit_threshold=threshold if leaves else None)


class Exits(Technique[ExitsOptions]):
    """See the module."""

    summary = "stop after the first layer whose exit head is confident enough"
    paper = "Xin et al. 2020 (DeeBERT), arXiv:2004.12993"
    stage = Stage.EXITS
    touches = frozenset({"exits"})
    Options = ExitsOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Thresholds that people use, and none."""
        return {"threshold": Knob((0.8, 0.9, 0.95, 0.98, 0.99, OFF))}

    def settle(self, student: Student, options: ExitsOptions, context: Context) -> ExitsOptions:
        """A student without exit heads (one layer) leaves nowhere."""
        return options if student.encoder.shape.exits else options.model_copy(update={"threshold": OFF})

    def convert(self, student: Student, options: ExitsOptions, context: Context) -> Student:
        """Set the threshold."""
        return set_threshold(student, options.threshold)

    def describe(self, options: ExitsOptions, teacher: EncoderShape) -> str:
        """`exits at 0.95`."""
        return f"exits at {options.threshold:g}" if options.threshold < OFF else ""


technique = Exits()
