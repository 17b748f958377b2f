"""A student without layers: vectors of words and of neighbouring pairs, their weighted mean, one hidden layer.

What fastText (Joulin et al. 2017, arXiv:1607.01759) and Model2Vec users run. Words start from the teacher's word
vectors, projected to their main directions where they are wider, and from the weights of Arora et al. 2017 (a word
that is in every text says little); pairs of neighbours, which single words cannot tell apart ("not good"), start at
zero in a table of hashed rows. All of it learns from the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autocomp.architectures._parts import Part, head_parts, table
from autocomp.architectures._shape import EncoderShape
from autocomp.architectures.static._pairs import STEP
from autocomp.space import Knob

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.architectures import EncoderBuilder
    from autocomp.architectures._encoder import Encoder

WIDTHS = (32, 64, 128, 256, 384)
PAIR_WIDTH = 16
HIDDEN_LAYER = 256
RARE = 1e-3
"""Share of all pieces at which a piece weighs half as much as a rare one."""


class Static:
    """The architecture without layers."""

    summary = "the weighted mean of word vectors and hashed word pairs, and one hidden layer"
    follows_states = False
    options = ("dimensions", "pairs")
    rate = 10.0
    pace = 10

    def knobs(self, teacher: EncoderShape) -> dict[str, Knob]:
        """Width of the word vectors, and rows of the table of pairs."""
        widths = tuple(width for width in WIDTHS if width < teacher.embedding_size)
        return {
            "dimensions": Knob((*widths, min(teacher.embedding_size, WIDTHS[-1]))),
            "pairs": Knob((0, 8192, 32768, 131072)),
        }

    def shape(self, teacher: EncoderShape, sizes: Mapping[str, int]) -> EncoderShape:
        """The sizes of a student with the teacher's vocabulary and answers."""
        width, pairs = min(sizes["dimensions"], teacher.embedding_size), sizes["pairs"]
        head = replace(teacher.head, size=HIDDEN_LAYER, activation="relu", pooling="mean")
        return EncoderShape(
            vocabulary=teacher.vocabulary,
            positions=teacher.positions,
            token_types=0,
            embedding_size=width,
            hidden=width + (PAIR_WIDTH if pairs else 0),
            blocks=(),
            order=(),
            head=head,
            architecture="static",
            sizes=(("pairs", pairs),),
        )

    def weights(
        self, shape: EncoderShape, teacher: Mapping[str, Tensor], counts: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Words from the teacher, pairs at zero, a random head."""
        import torch

        def random(*size: int) -> Tensor:
            return torch.from_numpy(rng.standard_normal(size, np.float32) / math.sqrt(size[-1]))

        shares = counts / max(counts.sum(), 1)
        made = {
            "embeddings.word.weight": _main_directions(teacher["embeddings.word.weight"], shape.embedding_size, counts),
            "embeddings.emphasis.weight": torch.from_numpy(np.log(RARE / (RARE + shares)).astype(np.float32)),
        }
        for part in self.parts(shape):
            if part.name not in made:
                is_random = part.kind == "linear"
                made[part.name] = random(*part.size) if is_random else torch.zeros(part.size)
        return made

    def describe(self, sizes: Mapping[str, int]) -> str:
        """`no layers, 128 dimensions, 32,768 rows for word pairs`."""
        pairs = f", {sizes['pairs']:,} rows for word pairs" if sizes["pairs"] else ""
        return f"no layers, {sizes['dimensions']} dimensions{pairs}"

    def parts(self, shape: EncoderShape) -> tuple[Part, ...]:
        """Tables, the weights of words in the mean, and the head."""
        pairs, vocabulary = dict(shape.sizes)["pairs"], ("vocabulary", shape.vocabulary)
        words = table("embeddings.word", vocabulary, ("word", shape.embedding_size))
        width = ("pair", shape.hidden - shape.embedding_size)
        neighbours = [table("embeddings.pair", ("pairs", pairs), width)] if pairs else []
        emphasis = Part("embeddings.emphasis.weight", ("vocabulary",), (shape.vocabulary,), "embedding", "bias")
        return words, emphasis, *neighbours, *head_parts(shape.head, ("hidden", shape.hidden))

    def rows(self, shape: EncoderShape, part: Part, tokens: int) -> int:
        """One: the mean goes through the head."""
        return 1

    def products_between_tokens(self, shape: EncoderShape, tokens: int) -> dict[str, int]:
        """The weighted mean."""
        return {"embedding": tokens * shape.hidden}

    def module(self, shape: EncoderShape, dropout: float) -> Encoder:
        """Look-ups, a weighted mean, and a head."""
        from autocomp.architectures.static._module import StaticEncoder

        return StaticEncoder(shape, dropout)

    def write(self, build: EncoderBuilder, shape: EncoderShape) -> tuple[str, str]:
        """Look-ups; integers give the rows of pairs; a softmax over the text gives the weights of its mean."""
        ids, pairs = build.ids, dict(shape.sizes)["pairs"]
        states = build.look_up("embeddings.word.weight", ids)
        scores = build.op("Gather", build.vector("embeddings.emphasis.weight"), ids)
        if pairs:
            start, stop, axis = (build.constant(np.array([number])) for number in (0, -1, 1))
            before = build.op("Slice", ids, start, stop, axis)
            before = build.op("Pad", before, build.constant(np.array([0, 1, 0, 0])))
            mixed = build.op("Add", build.op("Mul", before, build.constant(np.array(STEP))), ids)
            rows = build.op("Mod", mixed, build.constant(np.array(pairs)))
            states = build.op("Concat", states, build.look_up("embeddings.pair.weight", rows), axis=-1)
        return build.head(states, scores), build.constant(np.array(0))


def _main_directions(vectors: Tensor, width: int, counts: np.ndarray) -> Tensor:
    """Vectors `[V, D]` around their mean in their `width` main directions, by how often each occurs, of mean square 1.

    Of vectors without values, as outlines have them, only the size is made.
    """
    import torch

    if vectors.is_meta:
        return vectors[:, :width]
    often = torch.from_numpy(np.sqrt(counts + 1.0)).float()[:, None]
    vectors = vectors.float() - (vectors * often).sum(0) / often.sum()
    scatter = (vectors * often).T @ (vectors * often)
    directions = torch.linalg.eigh(scatter).eigenvectors.flip(-1)[:, :width]
    projected = vectors @ directions
    scaled: Tensor = projected / projected.square().mean().sqrt().clamp(min=1e-6)
    return scaled


architecture = Static()
