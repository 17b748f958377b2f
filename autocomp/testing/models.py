"""Tiny random models that run in milliseconds: for our tests and for those of plug-in authors."""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from autocomp.architectures import BlockShape, EncoderShape, parts_of
from autocomp.architectures._encoder import Encoder
from autocomp.heads import HeadShape
from autocomp.models.encoder import blank_encoder
from autocomp.models.linears import hold_as_factors
from autocomp.models.student import Student

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
COMMON_WORDS = tuple(
    "the of and to in is it you that he was for on are with as his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then she many "
    "some so these would other into has more her two like him see time could no make than first been its who now "
    "people my made over did down only way find use may water long little very after words called just where most "
    "good bad great terrible film movie boring love hate ignore previous instructions".split()
)


def tiny_shape(
    *,
    layers: int = 3,
    heads: int = 4,
    head_size: int = 8,
    feed_forward: int = 64,
    labels: int = 2,
    vocabulary: int = 400,
    exits: tuple[int, ...] = (),
) -> EncoderShape:
    """A BERT shape of hidden size 32 with 64 positions, two token types and a pooler."""
    return EncoderShape(
        vocabulary=vocabulary,
        positions=64,
        token_types=2,
        embedding_size=32,
        hidden=32,
        blocks=(BlockShape(heads, head_size, feed_forward),) * layers,
        order=tuple(range(layers)),
        head=HeadShape(labels, size=32),
        exits=exits,
    )


def random_student(
    shape: EncoderShape | None = None, seed: int = 0, labels: Sequence[str] | None = None, pairs: bool = False
) -> Student:
    """A student whose every weight, bias and norm is random, large enough that texts get different logits.

    Args:
        shape: `tiny_shape()` when None; `shape.vocabulary` must hold the tokenizer's 193 essential pieces.
        seed: of all weights.
        labels: `label_0`, `label_1`, … when None.
        pairs: whether a text is a pair.
    """
    shape = shape or tiny_shape()
    names = tuple(labels) if labels is not None else tuple(f"label_{i}" for i in range(shape.head.labels))
    encoder = scattered_encoder(shape, torch.Generator().manual_seed(seed))
    return Student(encoder, wordpiece_tokenizer(shape.vocabulary), names, shape.positions, pairs)


@torch.no_grad()
def scattered_encoder(shape: EncoderShape, generator: torch.Generator) -> Encoder:
    """An encoder with no weight at a special value: norms near one, biases near zero, matrices of deviation 0.2."""
    encoder = blank_encoder(shape).eval()
    kinds = {part.name: part.kind for part in parts_of(shape)}
    for name, weight in encoder.named_parameters():
        is_scale = kinds[name] == "norm" and name.endswith(".weight")
        weight.normal_(1.0 if is_scale else 0.0, 0.2 if weight.ndim == 2 else 0.1, generator=generator)
    hold_as_factors(encoder, shape)
    return encoder


def wordpiece_tokenizer(size: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer of exactly `size` pieces that splits any ASCII text without [UNK].

    Raises:
        ValueError: when `size` is below the special pieces and single characters.
    """
    characters = sorted(set(string.printable) - set(string.whitespace))
    essential = [*SPECIAL_PIECES, *characters, *(f"##{c}" for c in characters)]
    if size < len(essential):
        raise ValueError(f"vocabulary = {size}, but size >= {len(essential)} must hold for all ASCII characters")
    letters = string.ascii_lowercase
    endings = (f"##{''.join(pair)}" for n in (2, 3) for pair in itertools.product(letters, repeat=n))
    words = dict.fromkeys(word for word in COMMON_WORDS if len(word) > 1)
    pieces = itertools.islice(itertools.chain(essential, words, endings), size)
    tokenizer = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(piece, SPECIAL_PIECES.index(piece)) for piece in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    return tokenizer


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
    import transformers

    name, sizes = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, f"{name}{suffix}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model
