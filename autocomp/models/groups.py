"""Groups of linear weights that share one setting: attention and feed-forward of each block, and the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autocomp.models.encoder import Encoder
    from autocomp.models.shape import EncoderShape


def linear_groups(shape: EncoderShape) -> dict[str, list[str]]:
    """`{group: parameter names}` of every large linear weight; classifiers and exit heads stay FP32."""
    groups = {}
    for i in range(len(shape.blocks)):
        attention = [f"blocks.{i}.attention.{part}.weight" for part in ("query", "key", "value", "output")]
        groups[f"blocks.{i}.attention"] = attention
        groups[f"blocks.{i}.feed_forward"] = [f"blocks.{i}.feed_forward.{part}.weight" for part in ("input", "output")]
    if shape.embedding_size != shape.hidden:
        groups["embeddings.projection"] = ["embeddings.projection.weight"]
    if shape.head.size is not None:
        groups["head.dense"] = ["head.dense.weight"]
    return groups


def group_sizes(encoder: Encoder) -> dict[str, int]:
    """Number of weights in each group."""
    weights = dict(encoder.named_parameters())
    return {group: sum(weights[n].numel() for n in names) for group, names in linear_groups(encoder.shape).items()}


def scaled_magnitudes(encoder: Encoder) -> dict[str, np.ndarray]:
    """|weight| over its matrix' standard deviation, flat, per group."""
    weights = dict(encoder.named_parameters())
    return {
        group: np.concatenate(
            [(weights[n].detach().abs() / weights[n].detach().std()).flatten().numpy() for n in names]
        )
        for group, names in linear_groups(encoder.shape).items()
    }
