"""The teacher's answers, softened by a temperature (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocomp.heads import heads
from autocomp.training.losses import Comparison, Term

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.models.student import Student


class Logits:
    """Distance of the student's answers to the teacher's, as the head measures it."""

    paper = "Hinton et al. 2015, arXiv:1503.02531"
    learns = "the teacher's answers"
    weight = 1.0
    values: tuple[float, ...] = ()
    follows_states = False

    def term(self, student: Student, teacher: Student) -> Term:
        """The head's distance at the comparison's temperature."""
        return Term(distance)


def distance(compared: Comparison) -> Tensor:
    """The head's distance between the student's and the teacher's outputs of a batch."""
    head, theirs = compared.head, compared.batch.answers.logits
    return heads[head.kind].distance(compared.logits, theirs, compared.temperature, head.scale)


loss = Logits()
