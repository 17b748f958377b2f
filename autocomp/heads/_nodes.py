"""The nodes that heads over whole texts share in a file, as `_module.py` computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autocomp.heads import HeadShape, LayerBuilder


def write_pooled(build: LayerBuilder, shape: HeadShape) -> str:
    """Append the head's nodes and return the name of the outputs `[batch, C]`."""
    pooled = build.first() if shape.pooling == "first" else build.mean()
    if shape.size is not None:
        pooled = build.activation(build.linear(pooled, "head.dense"), shape.activation)
    outputs = build.linear(pooled, "head.classifier")
    if shape.is_plain:
        return outputs
    scaled = build.op("Mul", outputs, build.constant(np.array(shape.scale, np.float32)))
    return build.op("Add", scaled, build.constant(np.array(shape.offset, np.float32)))
