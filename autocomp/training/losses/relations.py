"""Which words the teacher's last layer relates to which (MiniLMv2, arXiv:2012.15828)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from autocomp.training.losses import Comparison, Term

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.models.student import Student


class Relations:
    """KL between the relations of words among queries, among keys and among values of the last layers."""

    paper = "Wang et al. 2021, arXiv:2012.15828, section 3.1"
    learns = "what the teacher attends to"
    weight = 0.0
    values = (1.0, 0.0)
    follows_states = True

    def term(self, student: Student, teacher: Student) -> Term:
        """The mean over queries, keys and values, in as many relations as both can be split into."""
        from autocomp.training.teacher_signal import RELATED

        return Term(distance, RELATED)


def distance(compared: Comparison) -> Tensor:
    """The mean of the three divergences of a batch."""
    import torch

    from autocomp.training.teacher_signal import RELATED, side_by_side

    outputs, words = compared.outputs, compared.words[-1]
    parts = math.gcd(outputs.queries.shape[1], compared.batch.answers.heads)
    distances = [
        relation_distance(
            words.averages @ side_by_side(getattr(outputs, name)), compared.state(name), words.seen, parts
        )
        for name in RELATED
    ]
    return torch.stack(distances).mean()


def relation_distance(student: Tensor, teacher: Tensor, seen: Tensor, relations: int) -> Tensor:
    """KL between self-relations softmax(x x^T / sqrt(d)) of words (MiniLMv2, arXiv:2012.15828, section 3.1).

    student, teacher: `[B, W, D]` queries, keys or values of all heads side by side, of any two widths that
    `relations` divides; seen: `[B, W]`.
    """
    p, q = (_relation(x, seen, relations) for x in (teacher, student))
    divergence = (p.exp() * (p - q)).masked_fill(~seen[:, None, None, :], 0.0).sum(-1)
    return (divergence * seen[:, None, :]).sum() / (seen.sum() * relations)


def _relation(x: Tensor, seen: Tensor, relations: int) -> Tensor:
    batch, words, width = x.shape
    parts = x.view(batch, words, relations, width // relations).transpose(1, 2)
    scores = parts @ parts.transpose(-1, -2) / math.sqrt(width // relations)
    return scores.masked_fill(~seen[:, None, None, :], -1e4).log_softmax(-1)


loss = Relations()
