"""RoBERTa (Liu et al., 2019, arXiv:1907.11692): BERT with one token type and positions that start after padding's."""

from typing import Any

from autocomp.architectures import EncoderShape
from autocomp.models.importers import bert
from autocomp.models.importing import Importer, bert_block_modules, embedding_modules


def shape(config: Any, labels: int) -> EncoderShape:
    """The shape of a `RobertaConfig`: the first `pad_token_id + 1` positions are never used by a token."""
    return bert.shape(config, labels).with_(positions=config.max_position_embeddings - config.pad_token_id - 1)


def modules(shape: EncoderShape) -> dict[str, str]:
    """Where each module of ours is in `RobertaForSequenceClassification`."""
    return {
        **embedding_modules(shape, "roberta.embeddings"),
        **bert_block_modules(shape, "roberta.encoder.layer"),
        "head.dense": "classifier.dense",
        "head.classifier": "classifier.out_proj",
    }


importer = Importer(shape, modules)
