"""Recovery: a student learns from its teacher after parts were removed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocomp.training.accelerator import autocast, place, placed, ready_to_read
from autocomp.training.augmentation import varied, words_of
from autocomp.training.batches import Batch, Unread, collate, encode, shuffled
from autocomp.training.loop import Progress, Trained, train
from autocomp.training.losses import hidden_distance, relation_distance, soft_labels, word_averages

if TYPE_CHECKING:
    from autocomp.models.encoder import Outputs
    from autocomp.models.student import Student
    from autocomp.models.tokens import Tokens
    from autocomp.tasks import Example
    from autocomp.techniques.distillation import DistillationOptions


@dataclass(frozen=True)
class Lesson:
    """What recovery learns from.

    Attributes:
        teacher: run again for hidden states and relations, if these have a weight.
        examples: training texts with labels.
        logits: `[n, C]`, the teacher's on these examples.
    """

    teacher: Student
    examples: Sequence[Example]
    logits: np.ndarray


def recover(
    student: Student,
    lesson: Lesson,
    options: DistillationOptions,
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
    if options.looks_inside:
        lesson = replace(lesson, teacher=replace(lesson.teacher, encoder=ready_to_read(lesson.teacher.encoder)))
    bridges = _bridges(student, lesson.teacher)
    losses = _losses(student, lesson, options, bridges, batch, rng)
    with placed(student.encoder, lesson.teacher.encoder, bridges):
        weights = [*student.encoder.parameters(), *bridges.parameters()]
        return train(weights, losses, steps, options.learning_rate, deadline=deadline, progress=progress)


def _bridges(student: Student, teacher: Student) -> nn.Module:
    """From the student's hidden size to the teacher's; nothing where they are equal."""
    ours, theirs = student.encoder.shape.hidden, teacher.encoder.shape.hidden
    return nn.Identity() if ours == theirs else nn.Linear(ours, theirs, bias=False)


def _losses(
    student: Student,
    lesson: Lesson,
    options: DistillationOptions,
    bridge: nn.Module,
    size: int,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    for read in _batches(student, lesson, options, size, rng):
        ours, theirs = read.ours, read.theirs
        with autocast():
            out = student.encoder(ours.ids, ours.mask, ours.types)
        if theirs is None:
            yield _outer_losses(out, read, read.targets, options)
            continue
        with torch.no_grad(), autocast():
            reference = lesson.teacher.encoder(theirs.ids, theirs.mask, theirs.types)
        targets = torch.where(read.varied[:, None], reference.logits.float(), read.targets)
        yield _outer_losses(out, read, targets, options) + _inner_losses(ours, out, theirs, reference, options, bridge)


def _outer_losses(out: Outputs, read: _Read, targets: Tensor, options: DistillationOptions) -> Tensor:
    """Of the student's answers, to the teacher's and to the labels of texts that have one."""
    logits = out.logits.float()
    loss = options.logits * soft_labels(logits, targets, options.temperature)
    if not options.labels:
        return loss
    right = F.cross_entropy(logits, read.ours.labels, reduction="none").masked_fill(read.varied, 0.0)
    return loss + options.labels * right.mean()


@dataclass(frozen=True)
class _Read:
    """A batch of texts.

    Attributes:
        ours, theirs: as the student reads it, and as its teacher does if that is run.
        targets: `[B, C]`, the teacher's answers as they are known.
        varied: `[B]`, which texts are variants: neither answers nor labels of them are known.
    """

    ours: Batch
    theirs: Batch | None
    targets: Tensor
    varied: Tensor


def _batches(
    student: Student, lesson: Lesson, options: DistillationOptions, size: int, rng: np.random.Generator
) -> Iterator[_Read]:
    """Endless batches. A text that comes again comes as a variant, with a chance of `options.augment`."""
    ours, targets = Unread(student, lesson.examples), torch.from_numpy(lesson.logits)
    theirs = Unread(lesson.teacher, lesson.examples) if options.looks_inside else None
    words, done = words_of(lesson.examples, rng), 0
    for rows in shuffled(ours, size, rng):
        comes_again = theirs is not None and done >= len(ours)
        changed = rng.random(len(rows)) < (options.augment if comes_again else 0.0)
        mine: Batch
        other: Batch | None
        if changed.any():
            mine, other = _variants(student, lesson, rows, changed, words, rng)
        else:
            mine = collate(student, ours, rows).to(place())
            other = None if theirs is None else collate(lesson.teacher, theirs, rows).to(place())
        yield _Read(mine, other, targets[rows].to(place()), torch.from_numpy(changed).to(place()))
        done += len(rows)


def _variants(
    student: Student,
    lesson: Lesson,
    rows: Sequence[int],
    changed: np.ndarray,
    words: Sequence[str],
    rng: np.random.Generator,
) -> tuple[Batch, Batch]:
    """These rows, some of them changed, as student and teacher read them."""
    rows_changed = zip(rows, changed, strict=True)
    texts = [varied(lesson.examples[r], words, rng) if new else lesson.examples[r] for r, new in rows_changed]
    places = range(len(texts))
    ours, theirs = (collate(reader, encode(reader, texts), places) for reader in (student, lesson.teacher))
    return ours.to(place()), theirs.to(place())


def _inner_losses(
    ours: Batch, out: Outputs, theirs: Batch, reference: Outputs, options: DistillationOptions, bridge: nn.Module
) -> Tensor:
    words = int(min(ours.units.max(), theirs.units.max())) + 1
    units, theirs_by_word = ours.units.to(place()), word_averages(theirs.units.to(place()), words)
    pairs = [_words(units, tokens, theirs_by_word) for tokens in out.tokens]
    loss = torch.zeros((), device=place())
    if options.hidden:
        loss = loss + options.hidden * _hidden(out, reference, pairs, bridge)
    if options.relations:
        loss = loss + options.relations * _relations(out, reference, pairs[-1])
    return loss


@dataclass(frozen=True)
class _Words:
    """Averages over words of a student's tokens and of its teacher's `[B, W, N]`, and which words both see `[B, W]`."""

    ours: Tensor
    theirs: Tensor
    seen: Tensor


def _words(units: Tensor, tokens: Tokens, theirs: Tensor) -> _Words:
    """Of the student's tokens that are still there; a word without any is not seen."""
    ours = word_averages(units.gather(1, tokens.places).masked_fill(tokens.mask == 0, -1), theirs.shape[1])
    return _Words(ours, theirs, (ours.sum(-1) > 0) & (theirs.sum(-1) > 0))


def _hidden(out: Outputs, reference: Outputs, words: Sequence[_Words], bridge: nn.Module) -> Tensor:
    """Layer k of d learns from layer round(k L / d) of L."""
    depth, layers = len(out.hidden) - 1, len(reference.hidden) - 1
    distances = [
        hidden_distance(
            w.ours @ bridge(own.float()), w.theirs @ reference.hidden[round(k * layers / depth)].float(), w.seen
        )
        for k, (own, w) in enumerate(zip(out.hidden, words, strict=True))
        if k > 0
    ]
    return torch.stack(distances).mean()


def _relations(out: Outputs, reference: Outputs, words: _Words) -> Tensor:
    pairs = [(getattr(out, n), getattr(reference, n)) for n in ("queries", "keys", "values")]
    relations = math.gcd(*(x.shape[1] for x in pairs[0]))
    distances = [
        relation_distance(words.ours @ _side_by_side(a), words.theirs @ _side_by_side(b), words.seen, relations)
        for a, b in pairs
    ]
    return torch.stack(distances).mean()


def _side_by_side(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2).float()
