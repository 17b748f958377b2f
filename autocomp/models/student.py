"""A student: an encoder with all that is needed to use, store and compare it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

from safetensors import SafetensorError
from safetensors import numpy as numpy_files
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from autocomp.architectures import EncoderShape
from autocomp.architectures._encoder import Encoder
from autocomp.errors import ModelError
from autocomp.exit_rules import DEFAULT
from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.models import codes as coding
from autocomp.models.codes import Coded, CodedJson
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.linears import foreign_parametrizations
from autocomp.storage import atomic_folder
from autocomp.strict_json import JsonView

_CODES = "codes.safetensors"
_FILES = ("shape.json", "student.json", "tokenizer.json", "weights.safetensors")


@dataclass
class Student:
    """A text classifier; the teacher is one too.

    Attributes:
        encoder: the torch module.
        tokenizer: without padding and truncation; batches are padded on the right by whoever makes them.
        labels: label names, in the order of the logits.
        max_length: tokens a text is cut to, special tokens included; at most `encoder.shape.positions`.
        pairs: whether a text is a pair.
        formats: how each weight is stored in the artifact, by the encoder's parameter names; absent means FP32.
        exit_threshold: at which a text leaves at an exit head, as `exit_rule` means it; None runs all layers.
        exit_rule: a name of `autocomp.exit_rules`.
        origin: the teacher's depth that each layer descends from; None means the same depth.
        truncation_side: at which end a text that is too long loses tokens.
        codes: of weights that were trained under what their format stores, by name; read by `codes_of`.
    """

    encoder: Encoder
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    max_length: int
    pairs: bool = False
    formats: dict[str, WeightFormat] = field(default_factory=dict)
    exit_threshold: float | None = None
    origin: tuple[int, ...] | None = None
    exit_rule: str = DEFAULT
    truncation_side: Literal["left", "right"] = "right"
    codes: dict[str, Coded] = field(default_factory=dict)


def codes_of(student: Student) -> dict[str, Encoded]:
    """Codes to be stored as they are, by the weight's name: those whose weight and format are still the same."""
    weights = plain_weights(student.encoder) if student.codes else {}
    known = {name: (held, coding.weight_of(weights, name)) for name, held in student.codes.items()}
    return {
        name: held.encoded
        for name, (held, weight) in known.items()
        if weight is not None and held.is_of(weight, student.formats.get(name))
    }


class StudentJson(TypedDict):
    """`student.json`: all of a student but its weights, its shape and its tokenizer."""

    labels: list[str]
    max_length: int
    pairs: bool
    dropout: float
    formats: dict[str, JsonView]
    exit_threshold: float | None
    exit_rule: str
    origin: tuple[int, ...] | None
    truncation_side: Literal["left", "right"]
    codes: NotRequired[dict[str, CodedJson]]


def save_student(student: Student, folder: Path) -> None:
    """Write `shape.json`, `weights.safetensors`, `tokenizer.json`, `student.json`, and `codes.safetensors` if any.

    Atomic: all files are written beside `folder`, which is then renamed into place; an older one is replaced.

    Raises:
        ModelError: a weight is parametrized by something else than a low rank, which the files could not hold.
    """
    left = foreign_parametrizations(student.encoder)
    if left:
        raise ModelError(f"{', '.join(left)} cannot be saved: parametrized still; remove that first")
    with atomic_folder(Path(folder), replace=True) as new:
        new.mkdir()
        _write(student, new)


def load_student(folder: Path) -> Student:
    """Read what `save_student` wrote; the encoder is in evaluation mode.

    Raises:
        ModelError: a file is missing or damaged.
    """
    folder = Path(folder)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} is not a saved student: it lacks {', '.join(missing)}")
    try:
        return _read(folder)
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise ModelError(f"{folder} is a damaged student ({error}); delete it and run again") from error


def fingerprint(student: Student) -> str:
    """Hexadecimal SHA-256 of everything that `save_student` writes."""
    digest = hashlib.sha256()
    for text in (_dump(student.encoder.shape.to_json()), _dump(facts_of(student)), student.tokenizer.to_str()):
        digest.update(text.encode())
    digest.update(weights_fingerprint(plain_weights(student.encoder)).encode())
    for name, array in sorted(coding.arrays_of(student.codes).items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def weights_fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Hexadecimal SHA-256 of named tensors (names, types, sizes and values)."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().float().contiguous()
        digest.update(f"{name} {weights[name].dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def _write(student: Student, folder: Path) -> None:
    weights = {name: tensor.cpu().contiguous() for name, tensor in plain_weights(student.encoder).items()}
    save_file(weights, folder / "weights.safetensors")
    if student.codes:
        numpy_files.save_file(coding.arrays_of(student.codes), folder / _CODES)
    (folder / "tokenizer.json").write_text(student.tokenizer.to_str(), encoding="utf-8")
    (folder / "shape.json").write_text(_dump(student.encoder.shape.to_json()), encoding="utf-8")
    (folder / "student.json").write_text(_dump(facts_of(student)), encoding="utf-8")


def _read(folder: Path) -> Student:
    shape = EncoderShape.from_json(json.loads((folder / "shape.json").read_text(encoding="utf-8")))
    facts: StudentJson = json.loads((folder / "student.json").read_text(encoding="utf-8"))
    return Student(
        encoder=encoder_from(shape, load_file(folder / "weights.safetensors"), facts["dropout"]),
        tokenizer=Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8")),
        labels=tuple(facts["labels"]),
        max_length=facts["max_length"],
        pairs=facts["pairs"],
        formats={name: WeightFormat(**value) for name, value in facts["formats"].items()},
        exit_threshold=facts["exit_threshold"],
        exit_rule=facts.get("exit_rule", DEFAULT),
        origin=tuple(facts["origin"]) if facts["origin"] is not None else None,
        truncation_side=facts.get("truncation_side", "right"),
        codes=coding.codes_from(facts["codes"], numpy_files.load_file(folder / _CODES)) if "codes" in facts else {},
    )


def facts_of(student: Student) -> StudentJson:
    """All of a student but its weights, its shape and its tokenizer, as plain data."""
    facts: StudentJson = {
        "labels": list(student.labels),
        "max_length": student.max_length,
        "pairs": student.pairs,
        "dropout": student.encoder.dropout,
        "formats": {name: asdict(value) for name, value in sorted(student.formats.items())},
        "exit_threshold": student.exit_threshold,
        "exit_rule": student.exit_rule,
        "origin": student.origin,
        "truncation_side": student.truncation_side,
    }
    if student.codes:
        facts["codes"] = coding.facts_of(student.codes)
    return facts


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
