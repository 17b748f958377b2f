"""Distillation as a hook: the loss of a student's answers and inner states to its teacher's, and to the labels.

Logits: Hinton et al. 2015 (arXiv:1503.02531). Hidden states: TinyBERT (arXiv:1909.10351), averaged over words.
Relations: MiniLMv2 (arXiv:2012.15828), likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocomp.training.accelerator import place
from autocomp.training.hooks import Hook, Learnt, Reading
from autocomp.training.losses import hidden_distance, relation_distance, soft_labels, word_averages
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import RELATED, TeacherSignal, side_by_side

if TYPE_CHECKING:
    from autocomp.models.encoder import Outputs
    from autocomp.models.student import Student
    from autocomp.models.tokens import Tokens
    from autocomp.training.loop import Trained


class DistillationWeights(Protocol):
    """Weights of the losses, the temperature of the answers, and what recovery follows."""

    logits: float
    labels: float
    hidden: float
    relations: float
    temperature: float
    learning_rate: float
    augment: float


class Distillation(Hook):
    """The losses of one student to its teacher.

    Attributes:
        bridge: from the student's hidden size to the teacher's; the identity where they are equal.
    """

    bridge: nn.Module

    def __init__(self, student: Student, options: DistillationWeights) -> None:
        self._student, self._options = student, options

    def begin(self, teacher: Student) -> None:
        """Choose the teacher's layers to follow, k of d following round(k L / d) of L, and draw the bridge."""
        self.bridge = _bridge(self._student, teacher)
        depth, layers = self._student.encoder.shape.depth, teacher.encoder.shape.depth
        self._layers = [f"hidden.{round(k * layers / depth)}" for k in range(1, depth + 1)]

    def parameters(self) -> Sequence[Learnt]:
        """Those of the bridge."""
        return (Learnt(self.bridge),)

    def states(self) -> Sequence[str]:
        """One a layer, then those of `RELATED`, as far as they have a weight."""
        inner = self._layers if self._options.hidden else []
        return [*inner, *(RELATED if self._options.relations else ())]

    def loss(self, reading: Reading, outputs: Outputs) -> Tensor:
        """Of answers, labels, hidden states and relations, each times its weight."""
        return outer_loss(outputs, reading, self._options) + self.inner_loss(reading, outputs)

    def inner_loss(self, reading: Reading, outputs: Outputs) -> Tensor:
        """Of hidden states and relations."""
        options, units, seen = self._options, reading.ours.units, reading.said.seen
        words = min(int(units.max()) + 1, seen.shape[1])
        pairs = [_words(units.to(place()), tokens, seen[:, :words]) for tokens in outputs.tokens]
        states = [reading.said.states[name][:, :words].float() for name in self.states()]
        loss = torch.zeros((), device=place())
        if options.hidden:
            loss = loss + options.hidden * _hidden(outputs, states, pairs, self.bridge)
        if options.relations:
            heads = math.gcd(outputs.queries.shape[1], reading.said.heads)
            loss = loss + options.relations * _relations(outputs, states[-len(RELATED) :], pairs[-1], heads)
        return loss

    def state(self) -> Mapping[str, Tensor]:
        """The bridge's weights."""
        return self.bridge.state_dict()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Set the bridge's weights."""
        self.bridge.load_state_dict(dict(state))


def distil(student: Student, lesson: TeacherSignal, options: DistillationWeights, **how: Any) -> Trained:
    """Recover a student in place by distillation alone; `how` is what `recover` takes besides."""
    return recover(student, lesson, options, {"distillation": Distillation(student, options)}, **how)


def outer_loss(out: Outputs, reading: Reading, options: DistillationWeights) -> Tensor:
    """Of the student's answers, to the teacher's and to the labels of texts that have one."""
    logits = out.logits.float()
    loss = options.logits * soft_labels(logits, reading.said.logits, options.temperature)
    if not options.labels:
        return loss
    right = F.cross_entropy(logits, reading.ours.labels, reduction="none").masked_fill(reading.varied, 0.0)
    return loss + options.labels * right.mean()


def _bridge(student: Student, teacher: Student) -> nn.Module:
    ours, theirs = student.encoder.shape.hidden, teacher.encoder.shape.hidden
    return nn.Identity() if ours == theirs else nn.Linear(ours, theirs, bias=False)


@dataclass(frozen=True)
class _Words:
    """What averages a student's tokens over words `[B, W, N]`, and which words it and its teacher see `[B, W]`."""

    averages: Tensor
    seen: Tensor


def _words(units: Tensor, tokens: Tokens, seen: Tensor) -> _Words:
    """Of the student's tokens that are still there; a word without any is not seen."""
    ours = word_averages(units.gather(1, tokens.places).masked_fill(tokens.mask == 0, -1), seen.shape[1])
    return _Words(ours, (ours.sum(-1) > 0) & seen)


def _hidden(out: Outputs, theirs: Sequence[Tensor], words: Sequence[_Words], bridge: nn.Module) -> Tensor:
    """Of every layer, to the teacher's layer that it follows."""
    layers = zip(out.hidden[1:], words[1:], theirs, strict=False)
    distances = [hidden_distance(w.averages @ bridge(own.float()), state, w.seen) for own, w, state in layers]
    return torch.stack(distances).mean()


def _relations(out: Outputs, theirs: Sequence[Tensor], words: _Words, heads: int) -> Tensor:
    distances = [
        relation_distance(words.averages @ side_by_side(getattr(out, name)), state, words.seen, heads)
        for name, state in zip(RELATED, theirs, strict=True)
    ]
    return torch.stack(distances).mean()
