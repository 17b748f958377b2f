"""What may a student learn in recovery? One file for each loss; each defines `loss`.

Torch is imported inside functions alone, for a search space names losses before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from autocomp.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.architectures._encoder import Outputs
    from autocomp.architectures._tokens import Tokens
    from autocomp.heads import HeadShape
    from autocomp.models.student import Student
    from autocomp.training.hooks import Reading


class Loss(Protocol):
    """One thing that a student may learn, beside others and times a weight.

    Attributes:
        paper: its source.
        learns: what the student follows, to stand after "It was trained again, to follow".
        weight: where nobody names one.
        values: weights for a search to choose among; empty where it is not searched.
        follows_states: whether it compares inner states, which some students do not have.
    """

    paper: str
    learns: str
    weight: float
    values: tuple[float, ...]
    follows_states: bool

    def term(self, student: Student, teacher: Student) -> Term:
        """The loss of this student to this teacher."""


@dataclass(frozen=True)
class Term:
    """A loss of one student and one teacher.

    Attributes:
        of: a scalar with its graph, of a batch.
        states: the teacher's states that it reads, by the names of `Answers.states`.
        module: parameters of its own, trained beside the student's.
    """

    of: Callable[[Comparison], Tensor]
    states: Sequence[str] = ()
    module: nn.Module | None = None


@dataclass(frozen=True)
class Words:
    """What averages a student's tokens over words `[B, W, N]`, and which words it and its teacher see `[B, W]`."""

    averages: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Comparison:
    """A batch as a student and its teacher read it.

    Inner states are compared by word, because a student with another vocabulary has other tokens.

    Attributes:
        batch: texts and the teacher's answers.
        outputs: the student's.
        head: sizes of what is asked of both.
        temperature: by which answers are softened.
    """

    batch: Reading
    outputs: Outputs
    head: HeadShape
    temperature: float

    @cached_property
    def logits(self) -> Tensor:
        """The student's answers `[B, C]`, float32: one tensor, so that gradients are added before they round."""
        return self.outputs.logits.float()

    @cached_property
    def words(self) -> list[Words]:
        """Of the input of the first layer, and of each layer's output."""
        units, seen = self.batch.inputs.units.to(self.outputs.logits.device), self.batch.answers.seen
        seen = seen[:, : min(int(self.batch.inputs.units.max()) + 1, seen.shape[1])]
        return [_words(units, tokens, seen) for tokens in self.outputs.tokens]

    def state(self, name: str) -> Tensor:
        """The teacher's state of this name, averaged over words `[B, W, width]`, float32."""
        return self.batch.answers.states[name][:, : self.words[0].seen.shape[1]].float()


def _words(units: Tensor, tokens: Tokens, seen: Tensor) -> Words:
    """Averages over words of the student's tokens that are still there; a word without any is not seen."""
    from autocomp.training.batches import word_averages

    ours = word_averages(units.gather(1, tokens.places).masked_fill(tokens.mask == 0, -1), seen.shape[1])
    return Words(ours, (ours.sum(-1) > 0) & seen)


losses = Registry[Loss]("loss", __name__, "loss")
