"""How a student learns from its teacher during recovery: logits, hidden states, attention relations, labels.

Logits: Hinton et al. 2015 (arXiv:1503.02531). Hidden states: TinyBERT (arXiv:1909.10351), but averaged over each word,
because a student with another vocabulary has other tokens. Relations: MiniLMv2 (arXiv:2012.15828), likewise over words.

A text that comes again has some of its words replaced with a chance of `augment` (`autocomp.training.batches`),
and the teacher's answers to that are learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, Stage, Technique, listed

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student
    from autocomp.training.hooks import Hook


INNER = ("hidden", "relations")
"""Options that weigh what lies inside a student."""


class DistillationOptions(Options):
    """Weights of the losses, the schedule's peak, and the share of variants among texts that come again."""

    logits: float = Field(default=1.0, ge=0)
    labels: float = Field(default=0.5, ge=0)
    hidden: float = Field(default=1.0, ge=0)
    relations: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=2.0, gt=0)
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    augment: float = Field(default=0.8, ge=0, le=1)


class Distillation(Technique[DistillationOptions]):
    """The technique that says how recovery distils. Recovery itself reads `learning_rate` and `augment`."""

    summary = "recovery from the teacher's logits, hidden states and attention relations"
    paper = "arXiv:1503.02531, arXiv:1909.10351, arXiv:2012.15828"
    stage = Stage.RECOVERY
    touches = frozenset({"recovery"})
    architectures = ANY_ARCHITECTURE
    Options = DistillationOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Which losses count, and how fast the student learns."""
        return {
            "hidden": Knob((0.0, 1.0)),
            "relations": Knob((1.0, 0.0)),
            "learning_rate": Knob((1e-4, 2e-4, 4e-4), default=2e-4),
        }

    def applies(self, architecture: str, option: str = "") -> bool:
        """To every student, but only some have states and attention relations that can follow the teacher's."""
        from autocomp.architectures import architectures

        return option not in INNER or architectures[architecture].follows_states

    def settle(self, student: Student, options: DistillationOptions, context: Context) -> DistillationOptions:
        """No weight for states that the student does not have."""
        if self.applies(student.encoder.shape.architecture, "hidden"):
            return options
        return options.model_copy(update=dict.fromkeys(INNER, 0.0))

    def training(self, student: Student, options: DistillationOptions, context: Context) -> Hook:
        """The losses to the teacher and to the labels."""
        from autocomp.training.distillation import Distillation as Losses

        return Losses(student, options)

    def explain(self, options: DistillationOptions, teacher: EncoderShape) -> str:
        """A sentence on what the student learnt from."""
        weights = {
            "the teacher's answers": options.logits,
            "the labels": options.labels,
            "the teacher's inner states": options.hidden,
            "what the teacher attends to": options.relations,
        }
        used = [name for name, weight in weights.items() if weight]
        return f"It was trained again, to follow {listed(used)}." if used else ""


technique = Distillation()
