"""Early exits: a linear on the mean state after each layer, and one rule and threshold for when its answer is taken.

DeeBERT (Xin et al. 2020, arXiv:2004.12993) and PABEE (Zhou et al. 2020, arXiv:2006.04152), but the heads are fitted to
the recovered, frozen student in seconds, so that they cost no recovery. They lower the mean latency, not the 95th
percentile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field, ValidationInfo, field_validator

from autocomp.errors import UnknownName
from autocomp.exit_rules import DEFAULT, exit_rules
from autocomp.heads import heads
from autocomp.plan import Options as PlanOptions
from autocomp.space import Knob
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student


class ExitsOptions(Options):
    """A text leaves at the first head that `rule` calls sure at `threshold`; the rule's last one leaves exits out."""

    rule: str = DEFAULT
    threshold: float = Field(default=None, validate_default=True)

    @field_validator("rule")
    @classmethod
    def _is_known(cls, rule: str) -> str:
        try:
            exit_rules[rule]
        except UnknownName as error:
            raise ValueError(str(error)) from error
        return rule

    @field_validator("threshold", mode="before")
    @classmethod
    def _fits_rule(cls, threshold: object, info: ValidationInfo) -> object:
        if "rule" not in info.data:
            return threshold
        rule = exit_rules[info.data["rule"]]
        if threshold is None:
            return rule.grid[-1]
        if isinstance(threshold, int | float) and not rule.allows(threshold):
            raise ValueError(f"of the rule {info.data['rule']!r} it is {rule.means}")
        return threshold

    @property
    def is_off(self) -> bool:
        """Whether exits are left out."""
        return self.threshold == exit_rules[self.rule].grid[-1]


def set_threshold(student: Student, threshold: float, rule: str = DEFAULT) -> Student:
    """The student leaving at `threshold`; at the last of the rule's grid its exit heads are left out of the file."""
    leaves = threshold != exit_rules[rule].grid[-1] and bool(student.encoder.shape.exits)
    return (
        replace(student, exit_threshold=threshold, exit_rule=rule) if leaves else replace(student, exit_threshold=None)
    )


class Exits(Technique[ExitsOptions]):
    """The technique that lets texts leave at exit heads."""

    summary = "stop after the first layer whose exit head is confident enough"
    paper = "Xin et al. 2020 (DeeBERT), arXiv:2004.12993; Zhou et al. 2020 (PABEE), arXiv:2006.04152"
    stage = Stage.EXITS
    touches = frozenset({"exits"})
    Options = ExitsOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Thresholds that are in use, and none; only that for a kind of answer that no rule calls sure."""
        return {"threshold": _thresholds(shape, DEFAULT)}

    def knobs_for(self, shape: EncoderShape, wanted: PlanOptions) -> dict[str, Knob]:
        """Where a space names another rule, that rule and its thresholds: one rule a space.

        Raises:
            UnknownName: there is no such rule.
        """
        if "rule" not in wanted:
            return self.knobs(shape)
        rule = str(wanted["rule"])
        return {"rule": Knob((rule,)), "threshold": _thresholds(shape, rule)}

    def settle(self, student: Student, options: ExitsOptions, context: Context) -> ExitsOptions:
        """A student without exit heads (one layer) leaves nowhere."""
        off = {"threshold": exit_rules[options.rule].grid[-1]}
        return options if student.encoder.shape.exits else options.model_copy(update=off)

    def convert(self, student: Student, options: ExitsOptions, context: Context) -> Student:
        """Set the student's threshold and rule."""
        return set_threshold(student, options.threshold, options.rule)

    def planned(self, model: PlannedModel, options: ExitsOptions) -> PlannedModel:
        """The rule by which a text may leave."""
        return replace(model, exit=None if options.is_off else (options.rule, options.threshold))

    def describe(self, options: ExitsOptions, teacher: EncoderShape) -> str:
        """`exits at 0.95`."""
        return "" if options.is_off else exit_rules[options.rule].describe(options.threshold)

    def explain(self, options: ExitsOptions, teacher: EncoderShape) -> str:
        """A sentence on when a text leaves."""
        if options.is_off:
            return ""
        return f"A text is answered before the last layer {exit_rules[options.rule].explain(options.threshold)}."


def _thresholds(shape: EncoderShape, rule: str) -> Knob:
    grid = exit_rules[rule].grid
    return Knob(grid) if heads[shape.head.kind].exit_rules else Knob(grid[-1:], is_fixed=True)


technique = Exits()
