"""ALBERT (Lan et al., 2020, arXiv:1909.11942): shared blocks and factorized embeddings."""

from typing import Any

from autocomp.architectures import EncoderShape
from autocomp.errors import ModelError
from autocomp.models.importers import bert
from autocomp.models.importing import ConfigKeys, Importer, block_modules, embedding_modules

_BLOCK = {
    "attention.query": "attention.query",
    "attention.key": "attention.key",
    "attention.value": "attention.value",
    "attention.output": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "feed_forward.input": "ffn",
    "feed_forward.output": "ffn_output",
    "feed_forward_norm": "full_layer_layer_norm",
}


def shape(config: Any, labels: int) -> EncoderShape:
    """The shape of an `AlbertConfig` whose groups hold one layer each.

    Raises:
        ModelError: groups of several layers, or embeddings as wide as the hidden size (ALBERT still projects them).
    """
    if config.inner_group_num != 1:
        raise ModelError(f"ALBERT with inner_group_num = {config.inner_group_num} is not supported; it must be 1")
    if config.embedding_size == config.hidden_size:
        raise ModelError(f"ALBERT with embedding_size = hidden_size = {config.hidden_size} is not supported")
    plain, groups = bert.shape(config, labels), config.num_hidden_groups
    order = tuple(int(i / (plain.depth / groups)) for i in range(plain.depth))
    return plain.with_(embedding_size=config.embedding_size, blocks=plain.blocks[:groups], order=order)


def modules(shape: EncoderShape) -> dict[str, str]:
    """Where each module of ours is in `AlbertForSequenceClassification`."""
    group = "albert.encoder.albert_layer_groups"
    return {
        **embedding_modules(shape, "albert.embeddings"),
        "embeddings.projection": "albert.encoder.embedding_hidden_mapping_in",
        **block_modules(len(shape.blocks), _BLOCK, lambda block: f"{group}.{block}.albert_layers.0"),
        "head.dense": "albert.pooler",
        "head.classifier": "classifier",
    }


def config(shape: EncoderShape) -> ConfigKeys:
    """What `AlbertConfig` takes; with a group for each layer nothing is shared."""
    groups = {"num_hidden_groups": len(shape.blocks), "inner_group_num": 1}
    return {**bert.config(shape), "embedding_size": shape.embedding_size, **groups}


importer = Importer(shape, modules, config)
