"""Exit heads fitted to a frozen student: logistic regression on the mean state after each layer.

They learn the student's own final predictions, not the labels: an exit should answer what the whole model would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from autocomp.models.slicing import add_exits
from autocomp.training.batches import encode
from autocomp.training.inference import predict
from autocomp.training.losses import soft_labels

if TYPE_CHECKING:
    from autocomp.models.student import Student
    from autocomp.tasks import Example

ROWS = 4000
"""Texts that are enough for a linear of some hundred inputs (6,000 gave the figures in the facts)."""


def fit_exits(student: Student, examples: Sequence[Example], rng: np.random.Generator) -> Student:
    """The student with an exit head after every layer but the last, fitted on a sample of the examples."""
    depth = student.encoder.shape.depth
    if depth < 2:
        return student
    sample = [examples[i] for i in sorted(rng.permutation(len(examples))[:ROWS].tolist())]
    seen = predict(student, encode(student, sample), means=True, fast=True)
    assert seen.means is not None
    encoder = add_exits(student.encoder, range(1, depth), torch.Generator().manual_seed(int(rng.integers(2**31))))
    for d in range(1, depth):
        weight, bias = _fit(seen.means[:, d], seen.logits)
        encoder.exits[str(d)].load_state_dict({"weight": weight, "bias": bias})
    return replace(student, encoder=encoder.eval())


def _fit(states: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights `[C, H]` and bias `[C]` of a softmax regression from states `[n, H]` to logits `[n, C]`, by L-BFGS."""
    x, y = torch.from_numpy(states), torch.from_numpy(targets)
    mean, scale = x.mean(0), x.std(0, correction=0).clamp(min=1e-4)
    x = (x - mean) / scale
    weight = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = soft_labels(x @ weight.T + bias, y, 1.0) + 1e-3 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    weight, bias = weight.detach(), bias.detach()
    return weight / scale, bias - (weight / scale) @ mean
