"""Recovery: a student learns from its teacher after parts were removed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from autocomp.architectures import architectures
from autocomp.heads import HeadShape, heads
from autocomp.training.accelerator import autocast, current_device, on_device, ready_to_read
from autocomp.training.batches import Batch, Unread, collate, encode, shuffled, varied, word_averages, words_of
from autocomp.training.loop import Progress, Trained, train
from autocomp.training.teacher_signal import RELATED, Answers, TeacherSignal, run_teacher, side_by_side

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Outputs
    from autocomp.architectures._tokens import Tokens
    from autocomp.models.student import Student
    from autocomp.tasks import Example


class RecoveryOptions(Protocol):
    """The options of recovery: those of the technique `distillation`.

    Weights of the losses, the temperature, the peak of the learning rate, and the share of variants among texts that
    come again.
    """

    logits: float
    labels: float
    hidden: float
    relations: float
    temperature: float
    learning_rate: float
    augment: float


def recover(
    student: Student,
    signal: TeacherSignal,
    options: RecoveryOptions,
    *,
    steps: int,
    batch: int,
    rng: np.random.Generator,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> Trained:
    """Train the student in place for some steps, in evaluation mode.

    Without dropout: a teacher's answers and states are no labels to learn by heart. After 500 steps on SST-2
    (two students, all texts or 2,000) divergence from the teacher on the search split was 6 to 20 % below that of 0.1.
    """
    torch.manual_seed(int(rng.integers(2**31)))
    student.encoder.eval()
    signal = replace(signal, teacher=replace(signal.teacher, encoder=ready_to_read(signal.teacher.encoder)))
    bridges = _bridges(student, signal.teacher)
    losses = _losses(student, signal, options, bridges, batch, rng)
    with on_device(student.encoder, signal.teacher.encoder, bridges):
        weights = [*student.encoder.parameters(), *bridges.parameters()]
        rate = options.learning_rate * architectures[student.encoder.shape.architecture].rate
        return train(weights, losses, steps, rate, deadline=deadline, progress=progress)


def _bridges(student: Student, teacher: Student) -> nn.Module:
    """A linear from the student's hidden size to the teacher's; the identity where they are equal."""
    ours, theirs = student.encoder.shape.hidden, teacher.encoder.shape.hidden
    return nn.Identity() if ours == theirs else nn.Linear(ours, theirs, bias=False)


def _losses(
    student: Student,
    signal: TeacherSignal,
    options: RecoveryOptions,
    bridge: nn.Module,
    size: int,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    for batch in _batches(student, signal, options, size, rng):
        inputs = batch.inputs
        with autocast():
            out = student.encoder(inputs.ids, inputs.mask, inputs.types)
        outer = _outer_losses(out, batch, options, student.encoder.shape.head)
        yield outer + _inner_losses(out, batch, options, bridge)


def _outer_losses(out: Outputs, batch: _DistillationBatch, options: RecoveryOptions, shape: HeadShape) -> Tensor:
    """Losses of the student's answers: to the teacher's, and to the labels of the texts that have one."""
    head, outputs, unit = heads[shape.kind], out.logits.float(), shape.scale
    loss = options.logits * head.distance(outputs, batch.answers.logits, options.temperature, unit)
    if not options.labels:
        return loss
    right = head.loss(outputs, batch.inputs.targets, unit).masked_fill(batch.varied, 0.0)
    return loss + options.labels * right.mean()


@dataclass(frozen=True)
class _DistillationBatch:
    """A batch of texts, as the student reads it, with the teacher's answers.

    Attributes:
        inputs: the texts as the student reads them.
        answers: of the teacher to them.
        names: of the teacher's states that the student learns from: one a layer, then those of `RELATED`, if wanted.
        varied: `[B]`, which texts are variants: their labels are not known.
    """

    inputs: Batch
    answers: Answers
    names: Sequence[str]
    varied: Tensor


def _batches(
    student: Student, signal: TeacherSignal, options: RecoveryOptions, size: int, rng: np.random.Generator
) -> Iterator[_DistillationBatch]:
    """Endless batches. A text that comes again comes as a variant, with a chance of `options.augment`."""
    own, teachers = (Unread(reader, signal.examples) for reader in (student, signal.teacher))
    words, names, done = words_of(signal.examples, rng), _names(student, signal.teacher, options), 0
    for rows in shuffled(teachers, size, np.random.default_rng(signal.seed)):
        changed = rng.random(len(rows)) < (options.augment if done >= len(signal.examples) else 0.0)
        if changed.any():
            texts = _variants(signal, rows, changed, words, rng)
            batch = collate(student, encode(student, texts), range(len(rows)))
            answers = run_teacher(signal.teacher, encode(signal.teacher, texts), range(len(rows)), names)
        else:
            batch = collate(student, own, rows)
            answers = signal.cache.answers(rows, names, partial(run_teacher, signal.teacher, teachers, rows))
        device = current_device()
        yield _DistillationBatch(batch.to(device), answers, names, torch.from_numpy(changed).to(device))
        done += len(rows)


def _names(student: Student, teacher: Student, options: RecoveryOptions) -> list[str]:
    """The teacher's states that a student learns from: layer k of d from layer round(k L / d) of L."""
    depth, layers = student.encoder.shape.depth, teacher.encoder.shape.depth
    inner = [f"hidden.{round(k * layers / depth)}" for k in range(1, depth + 1)] if options.hidden else []
    return [*inner, *(RELATED if options.relations else ())]


def _variants(
    signal: TeacherSignal, rows: Sequence[int], changed: np.ndarray, words: Sequence[str], rng: np.random.Generator
) -> list[Example]:
    """The texts of these rows, some of them changed."""
    texts = [signal.examples[row] for row in rows]
    return [varied(text, words, rng) if new else text for text, new in zip(texts, changed, strict=True)]


def _inner_losses(out: Outputs, batch: _DistillationBatch, options: RecoveryOptions, bridge: nn.Module) -> Tensor:
    units, seen = batch.inputs.units, batch.answers.seen
    words = min(int(units.max()) + 1, seen.shape[1])
    pairs = [_words(units.to(current_device()), tokens, seen[:, :words]) for tokens in out.tokens]
    states = [batch.answers.states[name][:, :words].float() for name in batch.names]
    loss = torch.zeros((), device=current_device())
    if options.hidden:
        loss = loss + options.hidden * _hidden(out, states, pairs, bridge)
    if options.relations:
        heads = math.gcd(out.queries.shape[1], batch.answers.heads)
        loss = loss + options.relations * _relations(out, states[-len(RELATED) :], pairs[-1], heads)
    return loss


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
