"""Distillation as a hook: the losses that have a weight, of a student to its teacher and to the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from autocomp.architectures import architectures
from autocomp.training.hooks import Hook, Learnt, Reading
from autocomp.training.losses import Comparison, Term, losses
from autocomp.training.recovery import recover

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Outputs
    from autocomp.models.student import Student
    from autocomp.training.loop import Trained
    from autocomp.training.teacher_signal import TeacherSignal


class DistillationWeights(Protocol):
    """Weights of the losses, the temperature of the answers, and what recovery follows."""

    temperature: float
    learning_rate: float
    augment: float

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the losses that count, by names of `autocomp.training.losses`."""


class Distillation(Hook):
    """The losses of one student to its teacher.

    Attributes:
        terms: the losses that count, by name, as they are for this student; known after `begin`.
    """

    terms: dict[str, Term]

    def __init__(self, student: Student, options: DistillationWeights) -> None:
        self._student, self._options = student, options

    def begin(self, teacher: Student) -> None:
        """Let each loss choose the states that it follows, and draw parameters of its own."""
        has_states = architectures[self._student.encoder.shape.architecture].follows_states
        named = {name: losses[name] for name in self._options.weights}
        self.terms = {
            name: loss.term(self._student, teacher)
            for name, loss in named.items()
            if has_states or not loss.follows_states
        }
        modules = {name: term.module for name, term in self.terms.items() if term.module is not None}
        self._modules = nn.ModuleDict(modules)

    def parameters(self) -> Sequence[Learnt]:
        """Those of the losses."""
        return [Learnt(module) for module in self._modules.values()]

    def states(self) -> Sequence[str]:
        """All that some loss reads, once."""
        return list(dict.fromkeys(name for term in self.terms.values() for name in term.states))

    def loss(self, batch: Reading, outputs: Outputs) -> Tensor | None:
        """The weighted sum of all losses; None where none has a weight."""
        options = self._options
        compared = Comparison(batch, outputs, self._student.encoder.shape.head, options.temperature)
        each = {name: options.weights[name] * term.of(compared) for name, term in self.terms.items()}
        # Answers and states are summed apart: the order of names in one changes no last bit of the other.
        inner = [value for name, value in each.items() if losses[name].follows_states]
        outer = [value for name, value in each.items() if not losses[name].follows_states]
        sums = [reduce(add, values) for values in (outer, inner) if values]
        return reduce(add, sums) if sums else None

    def state(self) -> Mapping[str, Tensor]:
        """The weights of the losses' own parameters."""
        return self._modules.state_dict()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Set the weights of the losses' own parameters."""
        self._modules.load_state_dict(dict(state))


def distil(student: Student, signal: TeacherSignal, options: DistillationWeights, **how: Any) -> Trained:
    """Recover a student in place by distillation alone; `how` is what `recover` takes besides."""
    return recover(student, signal, options, {"distillation": Distillation(student, options)}, **how)
