"""The one training loop (a loss of a batch, AdamW, linear warm-up and decay, a deadline), and fine-tuning on labels."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autocomp.errors import TrainingDiverged
from autocomp.heads import heads
from autocomp.models.slicing import keep_vocabulary
from autocomp.training.accelerator import autocast, current_device, on_device
from autocomp.training.batches import Encoded, collate, encode, shuffled

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import Example

BATCH = 32
"""Texts in a batch of fine-tuning."""
WARM_UP = 0.1
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Trained:
    """What a training run did: steps, seconds, mean loss of its last tenth."""

    steps: int
    seconds: float
    loss: float


def train(
    parameters: Iterable[nn.Parameter],
    losses: Iterator[Tensor],
    steps: int,
    learning_rate: float,
    *,
    deadline: float = math.inf,
    weight_decay: float = 0.01,
    progress: Progress | None = None,
) -> Trained:
    """Take one optimizer step for each of `steps` losses.

    The schedule follows whichever is further along, steps or time, so that a run that meets its deadline has still
    decayed to zero.

    Args:
        losses: yields the scalar loss of the next batch, graph attached.
        deadline: seconds since the epoch (`time.time()`) at which to be finished.
        progress: called with the fraction done about once a second.

    Raises:
        TrainingDiverged: a loss that is not a number.
    """
    weights = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay, fused=True)
    started = reported = time.time()
    allowed = max(deadline - started, 1e-3)
    history: list[float] = []
    while (done := len(history)) < steps:
        now = time.time()
        fraction = max(done / steps, (now - started) / allowed)
        if fraction >= 1:
            break
        if progress and now - reported > 1:
            reported = now
            progress(fraction)
        history.append(_step(optimizer, weights, losses, learning_rate * schedule(fraction, steps)))
    recent = history[-max(1, done // 10) :]
    return Trained(done, time.time() - started, sum(recent) / len(recent) if recent else math.nan)


def schedule(fraction: float, steps: int) -> float:
    """Learning rate over its peak when a fraction of the run is done: up over the first tenth, then down to zero."""
    if fraction < WARM_UP:
        return (fraction + 1 / steps) / (WARM_UP + 1 / steps)
    return (1 - fraction) / (1 - WARM_UP)


def _step(
    optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], losses: Iterator[Tensor], rate: float
) -> float:
    """One optimizer step at a learning rate; the loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = next(losses)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingDiverged(f"the loss became {value}; a smaller learning rate than {rate:.2g} may help")
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return value


def fine_tune(
    teacher: Student,
    examples: Sequence[Example],
    *,
    epochs: float,
    learning_rate: float,
    rng: np.random.Generator,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> tuple[Student, Trained]:
    """A copy of the teacher fine-tuned on labelled examples (Devlin et al. 2019, section 4.1).

    AdamW over a 30,000-row table is a visible part of a small model's step, so only the rows of pieces that occur are
    trained and then written back; the others stay as they are, which they would (but for weight decay) anyway.
    """
    data = encode(teacher, examples)
    used = np.unique(np.concatenate(data.ids))
    steps = steps_of(len(data), epochs)
    torch.manual_seed(int(rng.integers(2**31)))
    small = replace(teacher, encoder=keep_vocabulary(teacher.encoder, used.tolist()))
    losses = _losses(small, replace(data, ids=[np.searchsorted(used, i) for i in data.ids]), rng)
    small.encoder.train()
    with on_device(small.encoder):
        done = train(small.encoder.parameters(), losses, steps, learning_rate, deadline=deadline, progress=progress)
    return _written_back(teacher, small, used), done


def steps_of(rows: int, epochs: float) -> int:
    """Optimizer steps in which so many rows are read so many times."""
    return max(1, round(epochs * math.ceil(rows / BATCH)))


def _losses(student: Student, data: Encoded, rng: np.random.Generator) -> Iterator[Tensor]:
    shape = student.encoder.shape.head
    head = heads[shape.kind]
    for rows in shuffled(data, BATCH, rng):
        batch = collate(student, data, rows).to(current_device())
        with autocast():
            outputs = student.encoder(batch.ids, batch.mask, batch.types).logits
        yield head.loss(outputs.float(), batch.targets, shape.scale).mean()


@torch.no_grad()
def _written_back(teacher: Student, small: Student, used: np.ndarray) -> Student:
    encoder = copy.deepcopy(teacher.encoder)
    trained = small.encoder.state_dict()
    rows = trained.pop("embeddings.word.weight")
    encoder.load_state_dict(trained, strict=False)
    encoder.get_parameter("embeddings.word.weight")[torch.from_numpy(used)] = rows
    return replace(teacher, encoder=encoder.eval())
