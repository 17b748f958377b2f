"""What a file would answer, without writing it: a student run in PyTorch with the weights its formats can hold.

Only for screening: nothing on a front rests on it. Activations stay FP32 here, the file quantizes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from autocomp.architectures import LAYERS, parts_of
from autocomp.exit_rules import DEFAULT, left_at
from autocomp.formats import FLOAT32, WeightFormat
from autocomp.formats.factors import balanced_factors, factor_names, multiplies
from autocomp.formats.numbers import decode, encode, stored_bytes
from autocomp.models.linears import stored_parameters
from autocomp.models.student import codes_of
from autocomp.training.predictions import Predictions, predict

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Encoder
    from autocomp.models.student import Student
    from autocomp.training.batches import Encoded

FP32_COST = 3.0
"""A multiply-add in FP32 takes about three times one in int8 (engineering facts: 50.5 to 13.2 ms)."""


@dataclass(frozen=True)
class Simulated:
    """`logits` `[n, C]` with exits taken, and the mean fraction of layers that ran."""

    logits: np.ndarray
    depth: float


def simulate(student: Student, data: Encoded) -> Simulated:
    """Run the student as its file would, but for the rounding of activations."""
    with stored_weights(student):
        predictions = predict(student, data, fast=True)
    return leave(predictions, student.exit_threshold, student.encoder.shape.depth, student.exit_rule)


def leave(predictions: Predictions, threshold: float | None, depth: int, rule: str = DEFAULT) -> Simulated:
    """What each text answers if it leaves, alone, at the first exit that the rule allows."""
    depths = sorted(predictions.exits) if threshold is not None else []
    if threshold is None or not depths:
        return Simulated(predictions.logits.copy(), 1.0)
    heads = np.stack([predictions.exits[d] for d in depths])
    which, rows = left_at(rule, heads, threshold), np.arange(len(predictions.logits))
    ran = np.array([*depths, depth])[which]
    return Simulated(np.concatenate([heads, predictions.logits[None]])[which, rows], float(ran.mean()) / depth)


@contextmanager
def stored_weights(student: Student) -> Iterator[None]:
    """The encoder holds what its formats can store while this lasts, and what its codes are where it has them."""
    weights, known = stored_parameters(student.encoder), codes_of(student)
    lossy = {n: f for n, f in student.formats.items() if f.bits < 32}
    trained = {name: decode(known[name], f) for name, f in lossy.items() if name in known}
    rest = {name: f for name, f in lossy.items() if name not in known}
    lost = {part: value for name, f in rest.items() for part, value in _held(student.encoder, name, f).items()}
    lost |= trained
    before = {name: weights[name].data for name in lost}
    try:
        for name, value in lost.items():
            weights[name].data = torch.from_numpy(value)
        yield
    finally:
        weights = stored_parameters(student.encoder)  # anew: they may have been elsewhere meanwhile
        for name, data in before.items():
            weights[name].data = data


def _held(encoder: Encoder, name: str, format: WeightFormat) -> dict[str, np.ndarray]:
    """What a file can hold of a weight, or of its two factors, by the names of `stored_parameters`."""
    owner, _, parameter = name.rpartition(".")
    weight = getattr(encoder.get_submodule(owner), parameter).detach().numpy()
    rank = dict(encoder.shape.ranks).get(name)
    if rank is None:
        return {name: rounded(weight, format)}
    factors = _factors(_Bytes(weight), rank)
    return {part: rounded(factor, format) for part, factor in zip(factor_names(name), factors, strict=True)}


def rounded(weight: np.ndarray, format: WeightFormat) -> np.ndarray:
    """A weight after a trip through the codes of a format."""
    return _rounded(_Bytes(weight), replace(format, sparse=False) if format.numbers == "integer" else format)


class _Bytes:
    """A weight hashed by its content, so that a sweep rounds each one once per width."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = weight
        sample = weight.ravel()[:: max(1, weight.size // 4096)]
        self._key = (weight.shape, hash(sample.tobytes()), hash(np.float64(weight.sum(dtype=np.float64))))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bytes) and self._key == other._key


@lru_cache(maxsize=256)
def _factors(weight: _Bytes, rank: int) -> tuple[np.ndarray, np.ndarray]:
    return balanced_factors(weight.weight, rank)


@lru_cache(maxsize=1024)
def _rounded(weight: _Bytes, format: WeightFormat) -> np.ndarray:
    return decode(encode(weight.weight, format), format)


def estimated_bytes(student: Student) -> int:
    """Bytes of the weights in the file; tokenizer, manifest and graph are the same for all of one student's plans."""
    names = _sizes(student.encoder)
    kept = [n for n in names if student.exit_threshold is not None or not n.startswith("exits.")]
    return sum(_stored(student.encoder, n, _format(student.formats, n)) for n in kept)


def _format(formats: Mapping[str, WeightFormat], stored: str) -> WeightFormat:
    """The format of a parameter, or of a factor of one."""
    return formats.get(stored.removesuffix(".up").removesuffix(".down"), FLOAT32)


@lru_cache(maxsize=32)
def _sizes(encoder: Encoder) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in stored_parameters(encoder).items()}


@lru_cache(maxsize=8192)
def _stored(encoder: Encoder, name: str, format: WeightFormat) -> int:
    shape = _sizes(encoder)[name]
    zeros = int((stored_parameters(encoder)[name] == 0).sum()) if format.sparse else 0
    if len(shape) == 1:
        return 4 * shape[0]
    return stored_bytes(shape, format, math.prod(shape) - zeros)


@lru_cache(maxsize=32)
def _work(encoder: Encoder) -> dict[str, int]:
    """Multiply-adds per token of each matrix of the layers."""
    ranks = dict(encoder.shape.ranks)
    layers = [part for part in parts_of(encoder.shape) if part.kind == "linear" and part.component in LAYERS]
    return {part.name: multiplies(ranks.get(part.name), part.size[0], part.size[1]) for part in layers}


def cost(student: Student, depth: float) -> float:
    """Multiply-adds per token of the text, those in FP32 weighted, times the fraction of layers that ran.

    A latency to rank by; without layers all plans have the same.
    """
    shape = student.encoder.shape
    asking, rest = dict.fromkeys(shape.order, 0.0), dict.fromkeys(shape.order, 0.0)
    before = {part.name for part in parts_of(shape) if part.component == "linear_before_attention"}
    for name, work in _work(student.encoder).items():
        part = asking if name in before else rest
        part[int(name.split(".")[1])] += work * _price(student.formats.get(name, FLOAT32))
    shares = zip(shape.order, shape.token_shares(), strict=True)
    total = sum(asking[b] * entering + rest[b] * leaving for b, (entering, leaving) in shares) * depth
    return max(total, 1.0)


def _price(format: WeightFormat) -> float:
    return 1.0 if format.runs_int8 else FP32_COST


def forget() -> None:
    """Drop what was kept of the students so far: gigabytes, none of which is of the next one."""
    for kept in (_factors, _rounded, _sizes, _stored, _work):
        kept.cache_clear()
