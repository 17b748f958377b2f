"""The torch module that heads over whole texts share: pool the tokens, then one or two linears."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from autocomp.heads import HeadShape


class PooledModule(nn.Module):
    """Pooled states, an optional dense layer with its activation, a linear, and the unit of the numbers learnt.

    Args:
        hidden: size of the states.
        activation: after the dense layer.
    """

    def __init__(self, hidden: int, shape: HeadShape, dropout: float, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.shape, self.activation = shape, activation
        self.dense = None if shape.size is None else nn.Linear(hidden, shape.size)
        self.classifier = nn.Linear(hidden if shape.size is None else shape.size, shape.labels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Outputs `[B, C]` of states `[B, N, H]`, of which those count where `mask` `[B, N]` is 1."""
        pooled = states[:, 0] if self.shape.pooling == "first" else masked_mean(states, mask)
        if self.dense is not None:
            pooled = self.activation(self.dense(pooled))
        outputs: Tensor = self.classifier(self.dropout(pooled))
        return outputs if self.shape.is_plain else outputs * self.shape.scale + self.shape.offset


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of `[B, N, H]` over the tokens whose `mask` `[B, N]` is 1, `[B, H]`."""
    kept = mask[:, :, None].to(states.dtype)
    return (states * kept).sum(1) / kept.sum(1).clamp(min=1)
