"""What a Hugging Face family must say of itself to be imported: its shape, and where each weight is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autocomp.architectures import EncoderShape
from autocomp.errors import ModelError
from autocomp.registry import Registry

ConfigKeys = dict[str, str | int | float]
"""What a family's configuration takes, under its own names."""
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


@dataclass(frozen=True)
class Importer:
    """How the `…ForSequenceClassification` of one family becomes an encoder.

    Attributes:
        shape: `(PretrainedConfig, labels) -> EncoderShape`.
        modules: `shape -> {our module: their module}`, for every module that has weights.
        config: the way back, `shape -> keys of their config`, right for every shape that `shape` can give; None
            where another family computes the same (RoBERTa's shapes are BERT's).
    """

    shape: Callable[[Any, int], EncoderShape]
    modules: Callable[[EncoderShape], dict[str, str]]
    config: Callable[[EncoderShape], ConfigKeys] | None = None

    def weights(self, state: Mapping[str, Tensor], shape: EncoderShape) -> dict[str, Tensor]:
        """A Hugging Face state dictionary under our names.

        The position table keeps its last `shape.positions` rows: RoBERTa's first `padding_idx + 1` belong to padding.
        A token-type table of one row is added to the positions, where it says the same.
        """
        weights = {
            f"{ours}.{kind}": state[f"{theirs}.{kind}"]
            for ours, theirs in self.modules(shape).items()
            for kind in ("weight", "bias")
            if f"{theirs}.{kind}" in state
        }
        weights["embeddings.position.weight"] = weights["embeddings.position.weight"][-shape.positions :]
        if not shape.token_types and "embeddings.token_type.weight" in weights:
            weights["embeddings.position.weight"] = (
                weights["embeddings.position.weight"] + weights.pop("embeddings.token_type.weight")[0]
            )
        return weights

    def head(self, shape: EncoderShape) -> dict[str, str]:
        """`{our module: their module}` of the classifier, the part that a model not fine-tuned lacks."""
        return {ours: theirs for ours, theirs in self.modules(shape).items() if ours.startswith("head.")}


importers: Registry[Importer] = Registry("importer", "autocomp.models.importers", "importer")


def importer_of_type(model_type: str) -> Importer | None:
    """The importer of a `model_type`, whose `-` is `_` in a module's name (`xlm-roberta`); None where there is none."""
    name = model_type.replace("-", "_")
    return next((importers[known] for known in importers if known == name), None)


def activation(name: str) -> str:
    """Our name of a Hugging Face activation.

    Raises:
        ModelError: we have no such activation.
    """
    if name not in _ACTIVATIONS:
        raise ModelError(f"activation {name!r} is not supported; one of {', '.join(_ACTIVATIONS)} must be used")
    return _ACTIVATIONS[name]


def their_activation(name: str) -> str:
    """Hugging Face's name of one of our activations."""
    return next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == name)


def token_types(config: Any) -> int:
    """Rows of the token-type table that we keep; a table of one row is folded into the positions."""
    return int(config.type_vocab_size) if config.type_vocab_size > 1 else 0


def embedding_modules(shape: EncoderShape, theirs: str) -> dict[str, str]:
    """The embeddings of all families, without projection; `theirs` is the prefix, `bert.embeddings`."""
    return {
        "embeddings.word": f"{theirs}.word_embeddings",
        "embeddings.position": f"{theirs}.position_embeddings",
        "embeddings.token_type": f"{theirs}.token_type_embeddings",
        "embeddings.norm": f"{theirs}.LayerNorm",
    }


def bert_block_modules(shape: EncoderShape, theirs: str) -> dict[str, str]:
    """The blocks of BERT, ELECTRA, RoBERTa and its kin; `theirs` is the prefix, `bert.encoder.layer`."""
    names = {
        "attention.query": "attention.self.query",
        "attention.key": "attention.self.key",
        "attention.value": "attention.self.value",
        "attention.output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "feed_forward.input": "intermediate.dense",
        "feed_forward.output": "output.dense",
        "feed_forward_norm": "output.LayerNorm",
    }
    return block_modules(len(shape.blocks), names, lambda block: f"{theirs}.{block}")


def block_modules(blocks: int, names: Mapping[str, str], prefix: Callable[[int], str]) -> dict[str, str]:
    """`{blocks.{i}.ours: prefix(i).theirs}` for every block."""
    return {f"blocks.{b}.{ours}": f"{prefix(b)}.{theirs}" for b in range(blocks) for ours, theirs in names.items()}
