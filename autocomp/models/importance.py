"""How much each head, neuron and hidden dimension matters: |sum over a batch of mask x gradient|, over all batches.

First-order Taylor importance (Molchanov et al. 2017, arXiv:1611.06440; heads: Michel et al. 2019, arXiv:1905.10650),
but the absolute value is taken per batch, not per text: what helps one text and harms another hardly counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from autocomp.architectures._encoder import Masks
from autocomp.heads import heads

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Encoder
    from autocomp.models.student import Student


class LabelledBatch(Protocol):
    """A padded batch of labelled texts: `autocomp.training.batches.Batch`."""

    @property
    def ids(self) -> Tensor:
        """Token ids, `[B, N]`."""

    @property
    def mask(self) -> Tensor:
        """1 at tokens and 0 at padding, `[B, N]`."""

    @property
    def types(self) -> Tensor | None:
        """Token types, `[B, N]`."""

    @property
    def targets(self) -> Tensor:
        """What the head learns, `[B]` or `[B, C]`."""

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on a device."""


def measure_importance(encoder: Encoder, batches: Iterable[LabelledBatch]) -> dict[str, np.ndarray]:
    """Scores of `heads.<depth>` `[heads]`, `feed_forward.<depth>` `[F]` and `hidden` `[H]` over labelled batches."""
    device = next(encoder.parameters()).device
    masks = Masks.ones(encoder.shape, device)
    assert masks.hidden is not None
    parts: dict[str, Tensor] = {"hidden": masks.hidden}
    parts |= {f"heads.{d}": m for d, m in enumerate(masks.heads or ())}
    parts |= {f"feed_forward.{d}": m for d, m in enumerate(masks.feed_forward or ())}
    total = {name: torch.zeros_like(mask, requires_grad=False) for name, mask in parts.items()}
    encoder.eval()
    shape = encoder.shape.head
    head = heads[shape.kind]
    for batch in batches:
        batch = batch.to(device)
        outputs = encoder(batch.ids, batch.mask, batch.types, masks=masks).logits
        gradients = torch.autograd.grad(head.loss(outputs, batch.targets, shape.scale).sum(), list(parts.values()))
        for name, gradient in zip(parts, gradients, strict=True):
            total[name] += gradient.abs()
    return {name: value.cpu().numpy() for name, value in total.items()}


def block_scores(student: Student, importance: Mapping[str, np.ndarray], kind: str) -> list[np.ndarray]:
    """Scores of the `kind` (`heads`, `feed_forward`) per block; a block that runs at several depths sums them.

    The importance is the teacher's: `student.origin` says which of its depths were kept. Without any importance
    every part counts alike, so that the first ones stay.
    """
    shape = student.encoder.shape
    origin = student.origin or tuple(range(shape.depth))
    sizes: list[int] = [getattr(block, kind) for block in shape.blocks]
    scores = [np.zeros(size) for size in sizes]
    for depth, block in enumerate(shape.order):
        scores[block] = scores[block] + importance.get(f"{kind}.{origin[depth]}", np.ones(sizes[block]))
    return scores
