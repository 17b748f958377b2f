"""Recovery: a student learns from its teacher after parts were removed, as its hooks say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from autocomp.architectures import architectures
from autocomp.errors import ModelError
from autocomp.models.linears import foreign_parametrizations
from autocomp.training.accelerator import autocast, current_device, on_device, ready_to_read
from autocomp.training.batches import Unread, collate, encode, shuffled, varied, words_of
from autocomp.training.hooks import Hook, Reading
from autocomp.training.loop import Progress, Trained, adamw, moments, set_moments, train
from autocomp.training.teacher_signal import Answers, TeacherSignal, run_teacher

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import Example

OPTIMIZER, ENCODER = "optimizer", "encoder."


class RecoveryOptions(Protocol):
    """What recovery follows itself, whatever the hooks do.

    The peak of the learning rate, and the share of variants among texts that come again.
    """

    learning_rate: float
    augment: float


def recover(
    student: Student,
    signal: TeacherSignal,
    options: RecoveryOptions,
    hooks: Mapping[str, Hook],
    *,
    steps: int,
    batch: int,
    rng: np.random.Generator,
    before: Mapping[str, Tensor] | None = None,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> Trained:
    """Train the student in place for some steps, in evaluation mode, on the sum of its hooks' losses.

    Without dropout: a teacher's answers and states are no labels to learn by heart. After 500 steps on SST-2
    (two students, all texts or 2,000) divergence from the teacher on the search split was 6 to 20 % below that of 0.1.

    Args:
        hooks: by names of their own, in the order in which they act.
        before: `Trained.state` of an earlier training of this student with the same hooks, which this one goes on from.

    Raises:
        TrainingDiverged: a loss that is not a number.
        ModelError: no hook gives a loss, or one leaves a parametrization on a weight.
    """
    torch.manual_seed(int(rng.integers(2**31)))
    student.encoder.eval()
    signal = replace(signal, teacher=replace(signal.teacher, encoder=ready_to_read(signal.teacher.encoder)))
    for name, hook in hooks.items():
        hook.begin(signal.teacher)
        if before:
            hook.load(_part(before, name))
    acting = list(hooks.values())
    learnt = [own for hook in acting for own in hook.parameters()]
    losses = _losses(student, signal, options.augment, acting, batch, rng)
    with on_device(student.encoder, signal.teacher.encoder, *(own.module for own in learnt)):
        names = _names(student, hooks)
        own = [p for name, p in names.items() if name.startswith(ENCODER)]
        rate = options.learning_rate * architectures[student.encoder.shape.architecture].rate
        optimizer = adamw(own, rate, learnt)
        set_moments(optimizer, names, _part(before or {}, OPTIMIZER))
        done = train(optimizer, losses, steps, hooks=acting, deadline=deadline, progress=progress)
        state = {OPTIMIZER: moments(optimizer, names), **{name: hook.state() for name, hook in hooks.items()}}
    _check_is_plain(student)
    return replace(done, state={f"{who}/{key}": t.cpu() for who, part in state.items() for key, t in part.items()})


def _part(state: Mapping[str, Tensor], who: str) -> dict[str, Tensor]:
    """The tensors of a training's state that belong to the optimizer, or to one hook."""
    return {key.removeprefix(f"{who}/"): value for key, value in state.items() if key.startswith(f"{who}/")}


def _names(student: Student, hooks: Mapping[str, Hook]) -> dict[str, nn.Parameter]:
    """Every parameter that is trained, once, by a name that it has in each training of the student.

    What a hook has put on the encoder and gives as parameters of its own is the hook's.
    """
    modules = {f"{who}.{i}.": own.module for who, hook in hooks.items() for i, own in enumerate(hook.parameters())}
    named = {f"{who}{name}": p for who, module in modules.items() for name, p in module.named_parameters()}
    theirs = {id(p) for p in named.values()}
    ours = {f"{ENCODER}{name}": p for name, p in student.encoder.named_parameters() if id(p) not in theirs}
    return {**ours, **named}


def _check_is_plain(student: Student) -> None:
    left = foreign_parametrizations(student.encoder)
    if left:
        raise ModelError(f"a hook leaves a parametrization on {', '.join(left)}; its `finish` has to remove it")


def _losses(
    student: Student,
    signal: TeacherSignal,
    augment: float,
    hooks: Sequence[Hook],
    size: int,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    names = list(dict.fromkeys(name for hook in hooks for name in hook.states()))
    for batch in readings(student, signal, names, augment, size, rng):
        inputs = batch.inputs
        with autocast():
            out = student.encoder(inputs.ids, inputs.mask, inputs.types)
        losses = [loss for hook in hooks if (loss := hook.loss(batch, out)) is not None]
        if not losses:
            raise ModelError("no hook of this training gives a loss; let one of them distil the teacher")
        yield reduce(add, losses)


def readings(
    student: Student, signal: TeacherSignal, names: Sequence[str], augment: float, size: int, rng: np.random.Generator
) -> Iterator[Reading]:
    """Endless batches with what the teacher says of them, its states of these names too.

    A text that comes again comes as a variant, with a chance of `augment`.
    """
    own, teachers = (Unread(reader, signal.examples) for reader in (student, signal.teacher))
    words, done = words_of(signal.examples, rng), 0
    for rows in shuffled(teachers, size, np.random.default_rng(signal.seed)):
        changed = rng.random(len(rows)) < (augment if done >= len(signal.examples) else 0.0)
        if changed.any():
            texts = _variants(signal, rows, changed, words, rng)
            batch = collate(student, encode(student, texts), range(len(rows)))
            answers = run_teacher(signal.teacher, encode(signal.teacher, texts), range(len(rows)), names)
        else:
            batch = collate(student, own, rows)
            answers = _remembered(student, signal, teachers, rows, names)
        device = current_device()
        yield Reading(batch.to(device), answers, torch.from_numpy(changed).to(device))
        done += len(rows)


def _remembered(
    student: Student, signal: TeacherSignal, data: Unread, rows: Sequence[int], names: Sequence[str]
) -> Answers:
    """The teacher's answers to a batch of texts as they are."""
    if names or architectures[student.encoder.shape.architecture].follows_states:
        return signal.cache.answers(rows, names, partial(run_teacher, signal.teacher, data, rows))
    return signal.cache.answers_to(rows, lambda new: run_teacher(signal.teacher, data, new, ()))


def _variants(
    signal: TeacherSignal, rows: Sequence[int], changed: np.ndarray, words: Sequence[str], rng: np.random.Generator
) -> list[Example]:
    """The texts of these rows, some of them changed."""
    texts = [signal.examples[row] for row in rows]
    return [varied(text, words, rng) if new else text for text, new in zip(texts, changed, strict=True)]
