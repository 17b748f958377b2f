"""Groups of linear weights that share one setting: attention and feed-forward of each block, and the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autocomp.formats.factors import factor_names

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
    """Number of stored weights in each group: of factors, where a weight is of low rank."""
    from autocomp.models.low_rank import stored_parameters

    sizes = {name: weight.numel() for name, weight in stored_parameters(encoder).items()}
    stored = {n: (n,) for n in sizes} | {n: factor_names(n) for n, _ in encoder.shape.ranks}
    groups = linear_groups(encoder.shape)
    return {group: sum(sizes[part] for n in names for part in stored[n]) for group, names in groups.items()}


def scaled_magnitudes(encoder: Encoder) -> dict[str, np.ndarray]:
    """|weight| over its matrix' standard deviation, flat, per group; nothing of weights of low rank."""
    weights = dict(encoder.named_parameters())
    return {
        group: np.concatenate(
            [
                np.zeros(0, np.float32),
                *(
                    (weights[n].detach().abs() / weights[n].detach().std()).flatten().cpu().numpy()
                    for n in names
                    if n in weights
                ),
            ]
        )
        for group, names in linear_groups(encoder.shape).items()
    }
