"""What heads over whole texts share: states are pooled, then one or two linears follow, in torch and in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.heads import HeadShape, LayerBuilder


class PooledHead:
    """The module and the nodes of a head that reads one pooled state a text."""

    def module(
        self, hidden: int, shape: HeadShape, dropout: float, activation: Callable[[Tensor], Tensor]
    ) -> nn.Module:
        """The torch module: states `[B, N, H]` and their mask `[B, N]` to outputs `[B, C]`."""
        from autocomp.heads._module import PooledModule

        return PooledModule(hidden, shape, dropout, activation)

    def write(self, build: LayerBuilder, shape: HeadShape) -> str:
        """Append the nodes of that module and return the name of the outputs `[batch, C]`."""
        pooled = build.first() if shape.pooling == "first" else build.mean()
        if shape.size is not None:
            pooled = build.activation(build.linear(pooled, "head.dense"), shape.activation)
        outputs = build.linear(pooled, "head.classifier")
        if shape.is_plain:
            return outputs
        scaled = build.op("Mul", outputs, build.constant(np.array(shape.scale, np.float32)))
        return build.op("Add", scaled, build.constant(np.array(shape.offset, np.float32)))
