"""Writing a student as a plain Hugging Face checkpoint, which `from_pretrained` loads and can train further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from autocomp.architectures import DEFAULT as TRANSFORMER
from autocomp.architectures import EncoderShape
from autocomp.errors import ModelError
from autocomp.heads import DEFAULT, heads
from autocomp.models.encoder import plain_weights
from autocomp.models.importing import Importer, importers
from autocomp.models.loading import quiet_transformers

if TYPE_CHECKING:
    from autocomp.models.student import Student

_PIECES = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")


def family_of(shape: EncoderShape) -> str | None:
    """The `model_type` whose `…ForSequenceClassification` computes what an encoder of this shape computes.

    A shape is regular if a family's importer, given the configuration that the family writes for it, reads this very
    shape again. Exit heads do not count: the model without them is what is written. Nor do ranks: such weights are
    written multiplied out. Nor what is asked of the head, of which `problem_type` tells, nor its unit, in which the
    classifier is written.
    """
    if shape.architecture != TRANSFORMER:
        return None
    head = replace(shape.head, kind=DEFAULT, scale=1.0, offset=0.0)
    plain = shape.with_(exits=(), ranks=(), head=head)
    known = (name for name in importers if importers[name].config is not None)
    return next((name for name in known if _as_read(name, plain) == plain), None)


def irregularity(shape: EncoderShape) -> str | None:
    """The first reason why no family can hold this shape, in a sentence; None if one can."""
    return None if family_of(shape) else next(_reasons(shape))


def save_checkpoint(student: Student, folder: Path) -> str:
    """Write `config.json`, `model.safetensors` and the tokenizer's files into a folder; the family's `model_type`.

    Raises:
        ModelError: the shape is irregular; the message says why.
    """
    shape = student.encoder.shape
    family = family_of(shape)
    if family is None:
        raise ModelError(f"no Hugging Face model has this shape: {irregularity(shape)}")
    tokenizer = _tokenizer(student)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):  # a new model draws from the global generator
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_config(_config(family, student, tokenizer))
        model.load_state_dict(_state(importers[family], student, model.state_dict()))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return family


def _as_read(family: str, shape: EncoderShape) -> EncoderShape | None:
    """The shape that the family's importer reads from the family's own configuration of a shape."""
    from transformers import AutoConfig

    importer = importers[family]
    assert importer.config is not None
    try:
        return importer.shape(AutoConfig.for_model(family, **importer.config(shape)), shape.head.labels)
    except (ModelError, ValueError):  # the family has no such configuration
        return None


def _reasons(shape: EncoderShape) -> Iterator[str]:
    """What a BERT of this depth, width and number of heads would have otherwise."""
    if shape.architecture != TRANSFORMER:
        yield f"its architecture is {shape.architecture}; families are {TRANSFORMER}s"
        return
    for number, block in enumerate(shape.blocks):
        if block.heads * block.head_size != shape.hidden:
            wide = f"block {number} has {block.heads} heads of {block.head_size}, {block.heads * block.head_size} wide"
            yield f"{wide}; all heads together must be as wide as the hidden size, {shape.hidden}"
        if block != shape.blocks[0]:
            yield f"block {number} is {_sizes(block)}, block 0 {_sizes(shape.blocks[0])}; all must be alike"
    if shape.head.pooling != "first":
        yield f"the head reads the {shape.head.pooling} of all tokens; it must read the first one"
    if shape.head.size is None:
        yield "the head has no dense layer before the classifier; it must have one"
    if shape.head.size != shape.hidden:
        yield f"the head's dense layer has size {shape.head.size}; it must have the hidden size, {shape.hidden}"
    bert = _as_read("bert", shape) or shape
    for field in fields(shape):
        ours, theirs = getattr(shape, field.name), getattr(bert, field.name)
        if ours != theirs and field.name not in ("exits", "ranks"):
            yield f"{field.name} is {ours}; with the other sizes it would have to be {theirs}"
    yield "no family has all of its sizes at once"


def _sizes(block: Any) -> str:
    return ", ".join(f"{field.name} {getattr(block, field.name)}" for field in fields(block))


def _config(family: str, student: Student, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    keys = importers[family].config(student.encoder.shape)  # type: ignore[misc]
    names = dict(enumerate(student.labels))
    config = AutoConfig.for_model(
        family,
        **keys,
        id2label=names,
        label2id={name: i for i, name in names.items()},
        pad_token_id=tokenizer.pad_token_id or 0,
        problem_type=heads[student.encoder.shape.head.kind].problem_type,
    )
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, student.encoder.dropout)
    return config


def _state(importer: Importer, student: Student, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under their names; a token-type table that we have not is zero."""
    weights, head = plain_weights(student.encoder), student.encoder.shape.head
    weights["head.classifier.weight"] = weights["head.classifier.weight"] * head.scale
    weights["head.classifier.bias"] = weights["head.classifier.bias"] * head.scale + head.offset
    found = {
        f"{their}.{kind}": weights[f"{our}.{kind}"]
        for our, their in importer.modules(student.encoder.shape).items()
        for kind in ("weight", "bias")
        if f"{our}.{kind}" in weights
    }
    absent = {name: torch.zeros_like(value) for name, value in theirs.items() if "token_type" in name}
    return {**absent, **found}


def _tokenizer(student: Student) -> Any:
    from transformers import PreTrainedTokenizerFast

    roles = {
        role: piece
        for role, pieces in _PIECES.items()
        for piece in pieces
        if student.tokenizer.token_to_id(piece) is not None
    }
    types = ["token_type_ids"] if student.encoder.shape.token_types > 1 else []
    return PreTrainedTokenizerFast(
        tokenizer_object=student.tokenizer,
        model_max_length=student.max_length,
        truncation_side=student.truncation_side,
        model_input_names=["input_ids", *types, "attention_mask"],
        **roles,
    )
