"""The one training loop (losses, hooks, AdamW, linear warm-up and decay, a deadline), and fine-tuning on labels."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autocomp.errors import TrainingDiverged
from autocomp.heads import heads
from autocomp.models.slicing import keep_vocabulary
from autocomp.training.accelerator import autocast, current_device, on_device
from autocomp.training.batches import Encoded, collate, encode, shuffled
from autocomp.training.hooks import Hook, Learnt

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import Example

BATCH = 32
"""Texts in a batch of fine-tuning."""
WARM_UP = 0.1
WEIGHT_DECAY = 0.01
PEAK = "peak"
"""Key of a group's highest learning rate in the optimizer's groups."""
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Trained:
    """What a training run did.

    Attributes:
        steps, seconds: that it took.
        loss: mean of its last tenth.
        state: what a later training of the same student may go on from: moments of AdamW and states of hooks.
    """

    steps: int
    seconds: float
    loss: float
    state: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)


def adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    learnt: Sequence[Learnt] = (),
    *,
    weight_decay: float = WEIGHT_DECAY,
) -> torch.optim.AdamW:
    """AdamW over parameters at a peak of their learning rate, and over those of hooks at their own."""
    groups = [(list(parameters), learning_rate)]
    groups += [(list(own.module.parameters()), own.peak_beside(learning_rate)) for own in learnt]
    free = [([p for p in group if p.requires_grad], peak) for group, peak in groups]
    return torch.optim.AdamW(
        [{"params": group, PEAK: peak} for group, peak in free if group],
        lr=learning_rate,
        weight_decay=weight_decay,
        fused=True,
    )


def train(
    optimizer: torch.optim.Optimizer,
    losses: Iterator[Tensor],
    steps: int,
    *,
    hooks: Sequence[Hook] = (),
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> Trained:
    """Take one optimizer step for each of `steps` losses, and let the hooks finish.

    The schedule follows whichever is further along, steps or time, so that a run that meets its deadline has still
    decayed to zero.

    Args:
        optimizer: of `adamw`.
        losses: yields the scalar loss of the next batch, graph attached.
        hooks: called around each step, in this order; what they add to the loss is in it already.
        deadline: seconds since the epoch (`time.time()`) at which to be finished.
        progress: called with the fraction done about once a second.

    Raises:
        TrainingDiverged: a loss that is not a number.
    """
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
        _set_rates(optimizer, schedule(fraction, steps))
        history.append(_step(optimizer, losses, hooks, fraction))
    for hook in hooks:
        hook.finish()
    recent = history[-max(1, done // 10) :]
    return Trained(done, time.time() - started, sum(recent) / len(recent) if recent else math.nan)


def schedule(fraction: float, steps: int) -> float:
    """Learning rate over its peak when a fraction of the run is done: up over the first tenth, then down to zero."""
    if fraction < WARM_UP:
        return (fraction + 1 / steps) / (WARM_UP + 1 / steps)
    return (1 - fraction) / (1 - WARM_UP)


def _set_rates(optimizer: torch.optim.Optimizer, part: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group[PEAK] * part


def _step(optimizer: torch.optim.Optimizer, losses: Iterator[Tensor], hooks: Sequence[Hook], fraction: float) -> float:
    """One optimizer step; the loss before it."""
    for hook in hooks:
        hook.before_step(fraction)
    loss = next(losses)
    value = float(loss.detach())
    if not math.isfinite(value):
        rate = optimizer.param_groups[0]["lr"]
        raise TrainingDiverged(f"the loss became {value}; a smaller learning rate than {rate:.2g} may help")
    loss.backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.before_update(fraction)
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for hook in hooks:
        hook.after_step(fraction)
    return value


def moments(optimizer: torch.optim.Optimizer, names: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What AdamW knows of parameters after its steps, as `NAME:exp_avg` and so on; nothing of those it never moved."""
    known = {name: optimizer.state.get(parameter, {}) for name, parameter in names.items()}
    return {f"{name}:{key}": value.detach().cpu() for name, found in known.items() for key, value in found.items()}


def set_moments(
    optimizer: torch.optim.Optimizer, names: Mapping[str, nn.Parameter], known: Mapping[str, Tensor]
) -> None:
    """Let AdamW go on from what `moments` gave at the end of an earlier training."""
    for key, value in known.items():
        name, _, kind = key.rpartition(":")
        if name in names:
            parameter = names[name]
            optimizer.state[parameter][kind] = value.clone().to(parameter.device)


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
        optimizer = adamw(small.encoder.parameters(), learning_rate)
        done = train(optimizer, losses, steps, deadline=deadline, progress=progress)
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
