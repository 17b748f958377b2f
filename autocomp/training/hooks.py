"""What may act while a student is trained: hooks, called at fixed places of every step.

    before_step(fraction)      the weights may be changed for this step's reading
    loss(batch, outputs)       added to the other hooks' losses
    before_update(fraction)    gradients are there, the optimizer has not stepped
    after_step(fraction)       the optimizer has stepped
    finish()                   the training is over; the student is left as it shall be stored

A hook is made for one student and one training (`Technique.training`). Distillation is one like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.architectures._encoder import Outputs
    from autocomp.models.student import Student
    from autocomp.training.batches import Batch
    from autocomp.training.teacher_signal import Answers


@dataclass(frozen=True)
class Reading:
    """A batch of texts, as a student reads it in training, with its teacher's answers.

    Attributes:
        inputs: the texts as the student reads them.
        answers: of the teacher to them, with the states that the hooks name.
        varied: `[B]`, which texts are variants: their labels are not known.
    """

    inputs: Batch
    answers: Answers
    varied: Tensor


@dataclass(frozen=True)
class Learnt:
    """Parameters of a hook's own that are trained beside the student's.

    Attributes:
        module: holds them; it is moved to where the training computes.
        factor: the peak of their learning rate over that of the student's weights.
        peak: of their learning rate, whatever that of the student's weights is; None for `factor`.
    """

    module: nn.Module
    factor: float = 1.0
    peak: float | None = None

    def peak_beside(self, learning_rate: float) -> float:
        """The peak of their learning rate, where that of the student's weights is `learning_rate`."""
        return self.factor * learning_rate if self.peak is None else self.peak


class Hook:
    """Something that acts while a student is trained; each call does nothing unless a hook overrides it.

    Every fraction is the part of the training that is done, in steps or in time, whichever is further along: 0 at the
    first step and below 1 at the last. A training may end before any given fraction was seen, so whatever must hold at
    the end is made true by `finish`.
    """

    def begin(self, teacher: Student) -> None:
        """Make ready for a training with this teacher; called once, before anything else."""

    def parameters(self) -> Sequence[Learnt]:
        """Parameters of its own, on the encoder or beside it; the student's own weights are trained anyway."""
        return ()

    def states(self) -> Sequence[str]:
        """The teacher's states that its loss reads, by the names of `Answers.states`."""
        return ()

    def before_step(self, fraction: float) -> None:
        """Act before the student reads a batch."""

    def loss(self, batch: Reading, outputs: Outputs) -> Tensor | None:
        """A scalar to be added to the loss of this batch, with its graph; None for nothing."""
        return None

    def before_update(self, fraction: float) -> None:
        """Act when the gradients are there, before they are clipped and the optimizer steps."""

    def after_step(self, fraction: float) -> None:
        """Act when the optimizer has stepped."""

    def finish(self) -> None:
        """Leave the student as it shall be stored: no parametrization of the hook's may be left on its weights."""

    def state(self) -> Mapping[str, Tensor]:
        """What a later training of the same student has to know, by names of the hook's choice."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave at the end of an earlier training; called after `begin`, if there was one."""
