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

from autocomp.artifact.format import FLOAT32, WeightFormat
from autocomp.artifact.numbers import decode, encode, stored_bytes
from autocomp.training.inference import Predictions, predict

if TYPE_CHECKING:
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
        seen = predict(student, data, fast=True)
    return leave(seen, student.exit_threshold, student.encoder.shape.depth)


def leave(seen: Predictions, threshold: float | None, depth: int) -> Simulated:
    """What each text answers if it leaves at the first exit whose largest probability reaches the threshold."""
    logits, ran = seen.logits.copy(), np.full(len(seen.logits), depth)
    for exit_depth in sorted(seen.exits, reverse=True) if threshold is not None else ():
        probabilities = torch.from_numpy(seen.exits[exit_depth]).softmax(-1).numpy()
        sure = probabilities.max(-1) >= threshold
        logits[sure], ran[sure] = seen.exits[exit_depth][sure], exit_depth
    return Simulated(logits, float(ran.mean()) / depth)


@contextmanager
def stored_weights(student: Student) -> Iterator[None]:
    """The encoder holds what its formats can store while this lasts."""
    weights = dict(student.encoder.named_parameters())
    lossy = {n: f for n, f in student.formats.items() if f.bits < 32}
    before = {name: weights[name].data for name in lossy}
    try:
        for name, format in lossy.items():
            weights[name].data = torch.from_numpy(rounded(before[name].numpy(), format))
        yield
    finally:
        for name, value in before.items():
            weights[name].data = value


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


@lru_cache(maxsize=1024)
def _rounded(weight: _Bytes, format: WeightFormat) -> np.ndarray:
    return decode(encode(weight.weight, format), format)


def estimated_bytes(student: Student) -> int:
    """Bytes of the weights in the file; tokenizer, manifest and graph are the same for all of one student's plans."""
    names = _sizes(student.encoder)
    kept = [n for n in names if student.exit_threshold is not None or not n.startswith("exits.")]
    return sum(_stored(student.encoder, n, student.formats.get(n, FLOAT32)) for n in kept)


@lru_cache(maxsize=32)
def _sizes(encoder: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in encoder.named_parameters()}


@lru_cache(maxsize=8192)
def _stored(encoder: torch.nn.Module, name: str, format: WeightFormat) -> int:
    shape = _sizes(encoder)[name]
    zeros = int((encoder.get_parameter(name) == 0).sum()) if format.sparse else 0
    if len(shape) == 1:
        return 4 * shape[0]
    return stored_bytes(shape, format, math.prod(shape) - zeros)


def cost(student: Student, depth: float) -> float:
    """Multiply-adds per token, those in FP32 weighted, times the fraction of layers that ran: a latency to rank by."""
    sizes = _sizes(student.encoder)
    price = dict.fromkeys(student.encoder.shape.order, 0.0)
    for name, shape in sizes.items():
        if name.startswith("blocks.") and len(shape) == 2:
            price[int(name.split(".")[1])] += math.prod(shape) * _price(student.formats, name)
    return sum(price[b] for b in student.encoder.shape.order) * depth


def _price(formats: Mapping[str, WeightFormat], name: str) -> float:
    return 1.0 if formats.get(name, FLOAT32).runs_int8 else FP32_COST
