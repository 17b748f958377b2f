"""Small random files of many shapes, the same on every device: what a device is timed on to know its speed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from autocomp.architectures import BlockShape, EncoderShape, parts_of
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.heads import HeadShape

VOCABULARY, POSITIONS = 2000, 256
NEVER = 1.1
"""A threshold that no probability reaches."""
LENGTHS = (4, 8, 16, 25, 40, 64, 96, 128, 192, 256)
LENGTHS_EACH = 5
MOST_WEIGHTS = 12e6
"""The most weights of one file, so that a device with 2 GB can hold all files at once."""


@dataclass(frozen=True)
class Sample:
    """One file and the text lengths at which it is timed.

    Attributes:
        shape: of its encoder.
        int8: whether its linears run in int8; else in FP32.
        exit_threshold: of the probability at its exits; None leaves the exits out.
        lengths: tokens of a text.
    """

    shape: EncoderShape
    int8: bool
    exit_threshold: float | None
    lengths: tuple[int, ...]

    def __str__(self) -> str:
        block = self.shape.blocks[0]
        kind = "int8" if self.int8 else "fp32"
        return (
            f"{self.shape.depth} layers, hidden {self.shape.hidden}, {block.heads} heads of {block.head_size}, "
            f"feed-forward {block.feed_forward}, {kind}{'' if self.exit_threshold is None else ', exit'}"
        )

    def write(self) -> onnx.ModelProto:
        """The file, its weights random."""
        weights = random_weights(self.shape, np.random.default_rng(0))
        names = [p.name for p in parts_of(self.shape) if p.kind == "table" or p.group]
        formats = dict.fromkeys(names, WeightFormat(8)) if self.int8 else {}
        return write_model(self.shape, weights, formats, pairs=False, exit_threshold=self.exit_threshold)


def bert_shape(
    layers: int, hidden: int, heads: int, head_size: int, feed_forward: int, exits: bool = False
) -> EncoderShape:
    """A BERT for single texts with equal layers and two labels; with `exits` a head after the first."""
    return EncoderShape(
        vocabulary=VOCABULARY,
        positions=POSITIONS,
        token_types=0,
        embedding_size=hidden,
        hidden=hidden,
        blocks=(BlockShape(heads, head_size, feed_forward),) * layers,
        order=tuple(range(layers)),
        head=HeadShape(2, hidden),
        exits=(1,) if exits else (),
    )


SMALL = Sample(bert_shape(3, 384, 12, 32, 768), int8=True, exit_threshold=None, lengths=(25,))
"""A student of ordinary size, to time against itself."""


def samples(count: int, seed: int = 0) -> list[Sample]:
    """Different random files, as many as wanted; two thirds of them in int8, a fifth of them with an exit."""
    rng = np.random.default_rng(seed)
    endless = _random_samples(rng)
    return [next(endless) for _ in range(count)]


def _random_samples(rng: np.random.Generator) -> Iterator[Sample]:
    number = 0
    while True:
        layers, hidden = int(rng.integers(1, 7)), int(rng.choice([64, 128, 192, 256, 384, 512, 768]))
        head_size = int(rng.choice([32, 64]))
        heads = max(1, int(rng.integers(hidden // head_size // 2, hidden // head_size + 1)))
        feed_forward = int(round(hidden * rng.choice([0.5, 1, 2, 3, 4]) / 32) * 32)
        lengths = tuple(sorted(int(n) for n in rng.choice(LENGTHS, LENGTHS_EACH, replace=False)))
        if layers * hidden * (4 * heads * head_size + 2 * feed_forward) > MOST_WEIGHTS:
            continue
        exits = number % 4 == 3 and layers > 1
        shape = bert_shape(layers, hidden, heads, head_size, feed_forward, exits)
        yield Sample(shape, number % 2 == 0 or number % 3 == 0, NEVER if exits else None, lengths)
        number += 1


def random_text(tokens: int) -> dict[str, np.ndarray]:
    """Inputs of one random text."""
    ids = np.random.default_rng(tokens).integers(1, VOCABULARY, (1, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


_DRAWN = {"embedding": 0, "head": 1, "exits": 2}
"""Which components' matrices are drawn first."""


def random_weights(shape: EncoderShape, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of a shape, by the encoder's parameter names; no two arrays are equal.

    Matrices are drawn first, then biases, scales and shifts of norms; tables and heads before layers. Profiles of
    devices were made with files that were drawn so.
    """
    parts = sorted(parts_of(shape), key=lambda part: _DRAWN.get(part.component, len(_DRAWN)))
    matrices = [part for part in parts if len(part.size) == 2]
    weights = {part.name: 0.02 * rng.standard_normal(part.size, np.float32) for part in matrices}
    vectors = [part for part in parts if part.kind == "bias"]
    weights |= {part.name: 0.02 * rng.standard_normal(part.size, np.float32) for part in vectors}
    norms = [part for part in parts if part.kind == "norm"]
    scales = [part for part in norms if part.name.endswith(".weight")]
    weights |= {part.name: 1 + 0.1 * rng.standard_normal(part.size, np.float32) for part in scales}
    shifts = [part for part in norms if part not in scales]
    return weights | {part.name: 0.1 * rng.standard_normal(part.size, np.float32) for part in shifts}
