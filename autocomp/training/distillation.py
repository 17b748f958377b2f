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
from torch import Tensor, nn

from autocomp.architectures import architectures
from autocomp.heads import HeadShape, heads
from autocomp.training.accelerator import current_device
from autocomp.training.batches import word_averages
from autocomp.training.hooks import Hook, Learnt, Reading
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import RELATED, TeacherSignal, side_by_side

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Outputs
    from autocomp.architectures._tokens import Tokens
    from autocomp.models.student import Student
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
        self._has_states = architectures[student.encoder.shape.architecture].follows_states

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
        if not self._has_states:
            return ()
        inner = self._layers if self._options.hidden else []
        return [*inner, *(RELATED if self._options.relations else ())]

    def loss(self, batch: Reading, outputs: Outputs) -> Tensor:
        """Of answers, labels, hidden states and relations, each times its weight."""
        outer = outer_loss(outputs, batch, self._options, self._student.encoder.shape.head)
        return outer + self.inner_loss(batch, outputs)

    def inner_loss(self, batch: Reading, outputs: Outputs) -> Tensor:
        """Of hidden states and relations; none of a student that has no states to follow the teacher's."""
        if not self._has_states:
            return torch.zeros((), device=current_device())
        options, units, seen = self._options, batch.inputs.units, batch.answers.seen
        words = min(int(units.max()) + 1, seen.shape[1])
        pairs = [_words(units.to(current_device()), tokens, seen[:, :words]) for tokens in outputs.tokens]
        states = [batch.answers.states[name][:, :words].float() for name in self.states()]
        loss = torch.zeros((), device=current_device())
        if options.hidden:
            loss = loss + options.hidden * _hidden(outputs, states, pairs, self.bridge)
        if options.relations:
            heads = math.gcd(outputs.queries.shape[1], batch.answers.heads)
            loss = loss + options.relations * _relations(outputs, states[-len(RELATED) :], pairs[-1], heads)
        return loss

    def state(self) -> Mapping[str, Tensor]:
        """The bridge's weights."""
        return self.bridge.state_dict()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Set the bridge's weights."""
        self.bridge.load_state_dict(dict(state))


def distil(student: Student, signal: TeacherSignal, options: DistillationWeights, **how: Any) -> Trained:
    """Recover a student in place by distillation alone; `how` is what `recover` takes besides."""
    return recover(student, signal, options, {"distillation": Distillation(student, options)}, **how)


def outer_loss(out: Outputs, batch: Reading, options: DistillationWeights, shape: HeadShape) -> Tensor:
    """Losses of the student's answers: to the teacher's, and to the labels of the texts that have one."""
    head, outputs, unit = heads[shape.kind], out.logits.float(), shape.scale
    loss = options.logits * head.distance(outputs, batch.answers.logits, options.temperature, unit)
    if not options.labels:
        return loss
    right = head.loss(outputs, batch.inputs.targets, unit).masked_fill(batch.varied, 0.0)
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
    """Averages over words of the student's tokens that are still there; a word without any is not seen."""
    ours = word_averages(units.gather(1, tokens.places).masked_fill(tokens.mask == 0, -1), seen.shape[1])
    return _Words(ours, (ours.sum(-1) > 0) & seen)


def _hidden(out: Outputs, theirs: Sequence[Tensor], words: Sequence[_Words], bridge: nn.Module) -> Tensor:
    """Mean distance of each layer's states to those of the teacher's layer that it follows."""
    layers = zip(out.hidden[1:], words[1:], theirs, strict=False)
    distances = [hidden_distance(w.averages @ bridge(own.float()), state, w.seen) for own, w, state in layers]
    return torch.stack(distances).mean()


def _relations(out: Outputs, theirs: Sequence[Tensor], words: _Words, heads: int) -> Tensor:
    distances = [
        relation_distance(words.averages @ side_by_side(getattr(out, name)), state, words.seen, heads)
        for name, state in zip(RELATED, theirs, strict=True)
    ]
    return torch.stack(distances).mean()


def hidden_distance(student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
    """Squared error between states of words `[B, W, H]`, over the teacher's mean square, where `seen` `[B, W]`."""
    error = ((student - teacher).square().mean(-1) * seen).sum() / seen.sum()
    return error / teacher[seen].square().mean().clamp(min=1e-6)


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
