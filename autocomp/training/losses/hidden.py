"""The teacher's hidden states, layer by layer (TinyBERT, arXiv:1909.10351), averaged over words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocomp.training.losses import Comparison, Term

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.models.student import Student


class Hidden:
    """Squared error between states: layer k of d follows layer round(k L / d) of the teacher's L."""

    paper = "Jiao et al. 2020, arXiv:1909.10351, section 3.1"
    learns = "the teacher's inner states"
    weight = 1.0
    values = (0.0, 1.0)
    follows_states = True

    def term(self, student: Student, teacher: Student) -> Term:
        """The mean over layers, after a linear map that is learnt too where the widths differ."""
        import torch

        followed, bridge = layers(student, teacher), bridge_between(student, teacher)

        def distance(compared: Comparison) -> Tensor:
            ours = zip(compared.outputs.hidden[1:], compared.words[1:], followed, strict=False)
            distances = [
                hidden_distance(words.averages @ bridge(own.float()), compared.state(name), words.seen)
                for own, words, name in ours
            ]
            return torch.stack(distances).mean()

        return Term(distance, followed, bridge)


def layers(student: Student, teacher: Student) -> list[str]:
    """The teacher's state that each layer of the student follows, by name."""
    depth, theirs = student.encoder.shape.depth, teacher.encoder.shape.depth
    return [f"hidden.{round(k * theirs / depth)}" for k in range(1, depth + 1)]


def bridge_between(student: Student, teacher: Student) -> nn.Module:
    """A random linear map from the student's hidden size to the teacher's; the identity where they are equal."""
    from torch import nn

    ours, theirs = student.encoder.shape.hidden, teacher.encoder.shape.hidden
    return nn.Identity() if ours == theirs else nn.Linear(ours, theirs, bias=False)


def hidden_distance(student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
    """Squared error between states of words `[B, W, H]`, over the teacher's mean square, where `seen` `[B, W]`."""
    error = ((student - teacher).square().mean(-1) * seen).sum() / seen.sum()
    return error / teacher[seen].square().mean().clamp(min=1e-6)


loss = Hidden()
