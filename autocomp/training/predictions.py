"""What an encoder answers in PyTorch (logits, exit logits, mean states), and exit heads fitted to that.

Exit heads are logistic regressions on the mean state after each layer of a frozen student. They learn the student's own
final predictions, not the labels: an exit should answer what the whole model would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from autocomp.architectures._encoder import Outputs
from autocomp.heads import Head, heads
from autocomp.heads._module import masked_mean
from autocomp.models.slicing import add_exits
from autocomp.training.accelerator import autocast, on_device
from autocomp.training.batches import Batch, Encoded, collate, encode, in_order

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import Example

ROWS = 4000
"""Texts that are enough to fit an exit head, a linear of some hundred inputs."""


@dataclass(frozen=True)
class Predictions:
    """`logits` `[n, C]`; `exits` `{depth: [n, C]}`; `means` `[n, depth + 1, H]` or None."""

    logits: np.ndarray
    exits: dict[int, np.ndarray]
    means: np.ndarray | None = None


def outputs(student: Student, data: Encoded, size: int = 64) -> Iterator[tuple[Batch, Outputs]]:
    """Batches with the encoder's outputs, without gradients, similar lengths together."""
    student.encoder.eval()
    with on_device(student.encoder) as device:
        for rows in in_order(data, size):
            batch = collate(student, data, rows).to(device)
            with torch.no_grad():
                yield batch, student.encoder(batch.ids, batch.mask, batch.types)


def predict(student: Student, data: Encoded, *, means: bool = False, size: int = 64, fast: bool = False) -> Predictions:
    """Run all texts; `means` also gives the mean state after each layer; `fast` allows BF16."""
    shape = student.encoder.shape
    logits = np.zeros((len(data), shape.head.labels), np.float32)
    exits = {d: np.zeros_like(logits) for d in shape.exits}
    states = np.zeros((len(data), shape.depth + 1, shape.hidden), np.float32) if means else None
    with autocast() if fast else nullcontext():
        for batch, out in outputs(student, data, size):
            rows = batch.rows.numpy()
            logits[rows] = out.logits.float().cpu().numpy()
            for depth in exits:
                exits[depth][rows] = out.exit_logits[depth].float().cpu().numpy()
            if states is not None:
                seen = zip(out.hidden, out.tokens, strict=True)
                states[rows] = torch.stack([masked_mean(h.float(), t.mask) for h, t in seen], 1).cpu().numpy()
    return Predictions(logits, exits, states)


def divergence(student: Student, reference: np.ndarray, outputs: np.ndarray) -> float:
    """How far outputs `[n, C]` are from a reference, as the student's head counts it."""
    shape = student.encoder.shape.head
    return heads[shape.kind].divergence(reference, outputs, shape.scale)


def fit_exits(student: Student, examples: Sequence[Example], rng: np.random.Generator) -> Student:
    """The student with an exit head after every layer but the last, fitted on a sample of the examples.

    A student whose kind of answer knows no rule for leaving early stays as it is.
    """
    depth, head = student.encoder.shape.depth, heads[student.encoder.shape.head.kind]
    if depth < 2 or not head.exit_rules:
        return student
    sample = [examples[i] for i in sorted(rng.permutation(len(examples))[:ROWS].tolist())]
    seen = predict(student, encode(student, sample), means=True, fast=True)
    assert seen.means is not None
    encoder = add_exits(student.encoder, range(1, depth), torch.Generator().manual_seed(int(rng.integers(2**31))))
    for d in range(1, depth):
        weight, bias = _fit(head, seen.means[:, d], seen.logits)
        encoder.get_submodule(f"exits.{d}").load_state_dict({"weight": weight, "bias": bias})
    return replace(student, encoder=encoder.eval())


def _fit(head: Head, states: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights `[C, H]` and bias `[C]` of a regression from states `[n, H]` to logits `[n, C]`, by L-BFGS."""
    x, y = torch.from_numpy(states), torch.from_numpy(targets)
    mean, scale = x.mean(0), x.std(0, correction=0).clamp(min=1e-4)
    x = (x - mean) / scale
    weight = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = head.distance(x @ weight.T + bias, y, 1.0) + 1e-3 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    weight, bias = weight.detach(), bias.detach()
    return weight / scale, bias - (weight / scale) @ mean
