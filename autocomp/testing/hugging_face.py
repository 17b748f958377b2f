"""Tiny random Hugging Face models of each family that is imported."""

from __future__ import annotations

import torch
import transformers
from transformers import PreTrainedModel

SIZES: dict[str, object] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
DISTILBERT: dict[str, object] = {
    "vocab_size": 300,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
FAMILIES: dict[str, tuple[str, dict[str, object]]] = {
    "bert": ("Bert", SIZES),
    "roberta": ("Roberta", {**SIZES, "type_vocab_size": 1, "pad_token_id": 1}),
    "xlm_roberta": ("XLMRoberta", {**SIZES, "type_vocab_size": 1, "pad_token_id": 1}),
    "camembert": ("Camembert", {**SIZES, "type_vocab_size": 1, "pad_token_id": 1}),
    "distilbert": ("DistilBert", DISTILBERT),
    "electra": ("Electra", {**SIZES, "embedding_size": 16}),
    "albert": ("Albert", {**SIZES, "embedding_size": 16, "num_hidden_layers": 3, "num_hidden_groups": 2}),
}


def hugging_face(family: str, suffix: str = "ForSequenceClassification", **changes: object) -> PreTrainedModel:
    """A random model whose biases and norms are random too, so that a forgotten one shows.

    Args:
        family: a key of `FAMILIES`: the `model_type`, with `_` for `-`.
        suffix: which class of the family, `Model` for the one without a head.
        changes: of the configuration.
    """
    name, sizes = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, f"{name}{suffix}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model
