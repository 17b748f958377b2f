"""The labels themselves; of a text with words replaced the label is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocomp.heads import heads
from autocomp.training.losses import Comparison, Term

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.models.student import Student


class Labels:
    """The head's loss to the labels."""

    paper = "Hinton et al. 2015, arXiv:1503.02531"
    learns = "the labels"
    weight = 0.5
    values: tuple[float, ...] = ()
    follows_states = False

    def term(self, student: Student, teacher: Student) -> Term:
        """The head's loss, whatever the teacher says."""
        return Term(mistakes)


def mistakes(compared: Comparison) -> Tensor:
    """The mean over a batch of the head's loss to the labels; a variant of a text counts as none."""
    head, batch = compared.head, compared.batch
    each = heads[head.kind].loss(compared.logits, batch.inputs.targets, head.scale)
    return each.masked_fill(batch.varied, 0.0).mean()


loss = Labels()
