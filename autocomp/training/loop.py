"""The one training loop: a loss of a batch, AdamW, a linear warm-up and decay, a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autocomp.errors import TrainingDiverged

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
        progress: told the fraction done about once a second.

    Raises:
        TrainingDiverged: a loss that is not a number.
    """
    weights = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay, fused=True)
    started = told = time.time()
    allowed = max(deadline - started, 1e-3)
    history: list[float] = []
    while (done := len(history)) < steps:
        now = time.time()
        fraction = max(done / steps, (now - started) / allowed)
        if fraction >= 1:
            break
        if progress and now - told > 1:
            told = now
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
