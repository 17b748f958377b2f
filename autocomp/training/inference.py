"""Running an encoder over texts in PyTorch: logits, exit logits and mean states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from autocomp.models.encoder import Outputs, masked_mean
from autocomp.training.accelerator import autocast, placed
from autocomp.training.batches import Batch, Encoded, collate, in_order

if TYPE_CHECKING:
    from autocomp.models.student import Student


@dataclass(frozen=True)
class Predictions:
    """`logits` `[n, C]`; `exits` `{depth: [n, C]}`; `means` `[n, depth + 1, H]` or None."""

    logits: np.ndarray
    exits: dict[int, np.ndarray]
    means: np.ndarray | None = None


def outputs(student: Student, data: Encoded, size: int = 64) -> Iterator[tuple[Batch, Outputs]]:
    """Batches with the encoder's outputs, without gradients, similar lengths together."""
    student.encoder.eval()
    with placed(student.encoder) as device:
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


def divergence(reference: np.ndarray, logits: np.ndarray) -> float:
    """Mean KL divergence of softmax(logits) `[n, C]` from softmax(reference), in nats."""
    p, q = torch.from_numpy(reference).log_softmax(-1), torch.from_numpy(logits).log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())
