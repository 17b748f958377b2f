"""ELECTRA's discriminator (Clark et al., 2020, arXiv:2003.10555): BERT with narrower embeddings and a GELU head."""

from typing import Any

from autocomp.architectures import EncoderShape
from autocomp.heads import HeadShape
from autocomp.models.importers import bert
from autocomp.models.importing import ConfigKeys, Importer, bert_block_modules, embedding_modules


def shape(config: Any, labels: int) -> EncoderShape:
    """The shape of an `ElectraConfig`; the head's activation is exact GELU whatever the encoder's is."""
    head = HeadShape(labels, config.hidden_size, "gelu")
    return bert.shape(config, labels).with_(embedding_size=config.embedding_size, head=head)


def modules(shape: EncoderShape) -> dict[str, str]:
    """Where each module of ours is in `ElectraForSequenceClassification`."""
    factorized = shape.embedding_size != shape.hidden
    return {
        **embedding_modules(shape, "electra.embeddings"),
        **({"embeddings.projection": "electra.embeddings_project"} if factorized else {}),
        **bert_block_modules(shape, "electra.encoder.layer"),
        "head.dense": "classifier.dense",
        "head.classifier": "classifier.out_proj",
    }


def config(shape: EncoderShape) -> ConfigKeys:
    """What `ElectraConfig` takes."""
    return {**bert.config(shape), "embedding_size": shape.embedding_size}


importer = Importer(shape, modules, config)
