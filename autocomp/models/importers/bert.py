"""BERT (Devlin et al., 2019, arXiv:1810.04805); MiniLM and most sentence encoders have this type too."""

from typing import Any

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.heads import HeadShape
from autocomp.models.importing import (
    ConfigKeys,
    Importer,
    activation,
    bert_block_modules,
    embedding_modules,
    their_activation,
    token_types,
)


def shape(config: Any, labels: int) -> EncoderShape:
    """The shape of a `BertConfig`: pooler with tanh, then the classifier."""
    size, layers = config.hidden_size, config.num_hidden_layers
    heads = config.num_attention_heads
    return EncoderShape(
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=token_types(config),
        embedding_size=size,
        hidden=size,
        blocks=(BlockShape(heads, size // heads, config.intermediate_size),) * layers,
        order=tuple(range(layers)),
        head=HeadShape(labels, size, "tanh"),
        activation=activation(config.hidden_act),
        norm_epsilon=config.layer_norm_eps,
    )


def modules(shape: EncoderShape) -> dict[str, str]:
    """Where each module of ours is in `BertForSequenceClassification`."""
    return {
        **embedding_modules(shape, "bert.embeddings"),
        **bert_block_modules(shape, "bert.encoder.layer"),
        "head.dense": "bert.pooler.dense",
        "head.classifier": "classifier",
    }


def config(shape: EncoderShape) -> ConfigKeys:
    """What `BertConfig` takes; every layer is as the first one."""
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.blocks[0].heads,
        "intermediate_size": shape.blocks[0].feed_forward,
        "hidden_act": their_activation(shape.activation),
        "max_position_embeddings": shape.positions,
        "type_vocab_size": max(1, shape.token_types),
        "layer_norm_eps": shape.norm_epsilon,
    }


importer = Importer(shape, modules, config)
