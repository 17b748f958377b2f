"""How a student learns from its teacher during recovery: the weights of the losses of `autocomp.training.losses`.

A text that comes again has some of its words replaced with a chance of `augment` (`autocomp.training.batches`),
and the teacher's answers to that are learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, Stage, Technique, listed
from autocomp.training.losses import losses

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student
    from autocomp.training.hooks import Hook


class RecoverySettings(Options):
    """The temperature of answers, the schedule's peak, and the share of variants among texts that come again."""

    temperature: float = Field(default=2.0, gt=0)
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    augment: float = Field(default=0.8, ge=0, le=1)

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the losses that count, by name: those of answers, then of inner states; first what usually weighs most."""
        names = sorted(losses, key=lambda name: (losses[name].follows_states, -losses[name].weight))
        return {name: weight for name in names if (weight := getattr(self, name))}


def with_weights() -> type[RecoverySettings]:
    """The settings, with a weight of each loss that there is."""
    weights: Any = {name: (float, Field(default=losses[name].weight, ge=0)) for name in losses}
    return create_model("DistillationOptions", __base__=RecoverySettings, **weights)


DistillationOptions = with_weights()


class Distillation(Technique[RecoverySettings]):
    """The technique that says how recovery distils. Recovery itself reads `learning_rate` and `augment`."""

    summary = "recovery from the teacher's logits, hidden states and attention relations"
    paper = "arXiv:1503.02531, arXiv:1909.10351, arXiv:2012.15828"
    stage = Stage.RECOVERY
    touches = frozenset({"recovery"})
    architectures = ANY_ARCHITECTURE
    Options = DistillationOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Which losses count, and how fast the student learns."""
        weights = {name: Knob(losses[name].values, losses[name].weight) for name in losses if losses[name].values}
        return {**weights, "learning_rate": Knob((1e-4, 2e-4, 4e-4), default=2e-4)}

    def applies(self, architecture: str, option: str = "") -> bool:
        """To every student, but only some have states and attention relations that can follow the teacher's."""
        from autocomp.architectures import architectures

        return option not in _inner() or architectures[architecture].follows_states

    def settle(self, student: Student, options: RecoverySettings, context: Context) -> RecoverySettings:
        """No weight for states that the student does not have."""
        if self.applies(student.encoder.shape.architecture, "hidden"):
            return options
        return options.model_copy(update=dict.fromkeys(_inner(), 0.0))

    def training(self, student: Student, options: RecoverySettings, context: Context) -> Hook:
        """The losses to the teacher and to the labels."""
        from autocomp.training.distillation import Distillation as Losses

        return Losses(student, options)

    def explain(self, options: RecoverySettings, teacher: EncoderShape) -> str:
        """A sentence on what the student learnt from."""
        used = [losses[name].learns for name in options.weights]
        return f"It was trained again, to follow {listed(used)}." if used else ""


def _inner() -> list[str]:
    """Losses of what lies inside a student."""
    return [name for name in losses if losses[name].follows_states]


technique = Distillation()
