"""DistilBERT (Sanh et al., 2019, arXiv:1910.01108): BERT without token types, with a ReLU head."""

from typing import Any

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.heads import HeadShape
from autocomp.models.importing import (
    ConfigKeys,
    Importer,
    activation,
    block_modules,
    embedding_modules,
    their_activation,
)

_BLOCK = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "feed_forward.input": "ffn.lin1",
    "feed_forward.output": "ffn.lin2",
    "feed_forward_norm": "output_layer_norm",
}


def shape(config: Any, labels: int) -> EncoderShape:
    """The shape of a `DistilBertConfig`; its norms have a fixed epsilon of 1e-12."""
    return EncoderShape(
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=0,
        embedding_size=config.dim,
        hidden=config.dim,
        blocks=(BlockShape(config.n_heads, config.dim // config.n_heads, config.hidden_dim),) * config.n_layers,
        order=tuple(range(config.n_layers)),
        head=HeadShape(labels, config.dim, "relu"),
        activation=activation(config.activation),
        norm_epsilon=1e-12,
    )


def modules(shape: EncoderShape) -> dict[str, str]:
    """Where each module of ours is in `DistilBertForSequenceClassification`."""
    return {
        **embedding_modules(shape, "distilbert.embeddings"),
        **block_modules(len(shape.blocks), _BLOCK, lambda block: f"distilbert.transformer.layer.{block}"),
        "head.dense": "pre_classifier",
        "head.classifier": "classifier",
    }


def config(shape: EncoderShape) -> ConfigKeys:
    """What `DistilBertConfig` takes; every layer is as the first one."""
    return {
        "vocab_size": shape.vocabulary,
        "dim": shape.hidden,
        "n_layers": shape.depth,
        "n_heads": shape.blocks[0].heads,
        "hidden_dim": shape.blocks[0].feed_forward,
        "activation": their_activation(shape.activation),
        "max_position_embeddings": shape.positions,
    }


importer = Importer(shape, modules, config)
