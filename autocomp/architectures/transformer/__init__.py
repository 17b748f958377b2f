"""A BERT-like encoder in which every size may differ: the teacher's architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autocomp.architectures._parts import Part, head_parts, linear, norm, table
from autocomp.architectures._shape import EncoderShape, kept_tokens
from autocomp.space import Knob

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from autocomp.architectures import EncoderBuilder
    from autocomp.architectures._encoder import Encoder


class Transformer:
    """The architecture of the teacher."""

    summary = "layers of attention and feed-forward, cut from the teacher's"
    follows_states = True
    options = ()
    rate = 1.0
    pace = 1

    def knobs(self, teacher: EncoderShape) -> dict[str, Knob]:
        """None: every size is a technique's."""
        return {}

    def shape(self, teacher: EncoderShape, sizes: Mapping[str, int]) -> EncoderShape:
        """The teacher's."""
        return teacher

    def weights(
        self, shape: EncoderShape, teacher: Mapping[str, Tensor], counts: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """The teacher's."""
        return dict(teacher)

    def describe(self, sizes: Mapping[str, int]) -> str:
        """Nothing: it is what the teacher is."""
        return ""

    def parts(self, shape: EncoderShape) -> tuple[Part, ...]:
        """Tables, blocks, their projection from narrower tables, head, exit heads."""
        hidden = ("hidden", shape.hidden)
        blocks = [part for i in range(len(shape.blocks)) for part in _block(shape, i)]
        exits = [linear(f"exits.{depth}", ("labels", shape.head.labels), hidden, "exits") for depth in shape.exits]
        head = head_parts(shape.head, hidden)
        tables, projection = _embeddings(shape)
        return *tables, *blocks, *projection, *head, *(part for pair in exits for part in pair)

    def rows(self, shape: EncoderShape, part: Part, tokens: int) -> int:
        """Every layer that runs a part's block has so many tokens; heads read one vector."""
        if part.component in ("head", "exits"):
            return 1
        if part.component == "embedding":
            return tokens
        counts, block = _token_counts(shape, tokens), int(part.name.split(".")[1])
        is_before = part.component == "linear_before_attention"
        passing = [entering if is_before else leaving for entering, leaving in counts]
        return sum(count for count, run in zip(passing, shape.order, strict=True) if run == block)

    def products_between_tokens(self, shape: EncoderShape, tokens: int) -> dict[str, int]:
        """Attention's own: scores of all pairs of tokens, and the means that those that go on read."""
        inner = [shape.blocks[block].heads * shape.blocks[block].head_size for block in shape.order]
        counts = zip(_token_counts(shape, tokens), inner, strict=True)
        return {"attention": sum((entering + leaving) * entering * size for (entering, leaving), size in counts)}

    def module(self, shape: EncoderShape, dropout: float) -> Encoder:
        """The elastic encoder."""
        from autocomp.architectures.transformer._module import TransformerEncoder

        return TransformerEncoder(shape, dropout)

    def write(self, build: EncoderBuilder, shape: EncoderShape) -> tuple[str, str]:
        """Embeddings, layers with exits between them, and the head."""
        return build.layers()


def _token_counts(shape: EncoderShape, tokens: int) -> list[tuple[int, int]]:
    """Per layer, tokens that enter it and that leave its attention."""
    counts = []
    for depth in range(shape.depth):
        entering, thousandths = tokens, shape.token_thousandths(depth)
        tokens = entering if thousandths is None else kept_tokens(entering, thousandths)
        counts.append((entering, tokens))
    return counts


def _embeddings(shape: EncoderShape) -> tuple[list[Part], Sequence[Part]]:
    """Tables and their norm, as wide as the residual stream, or of a width of their own and projected to it."""
    hidden, factorized = ("hidden", shape.hidden), shape.embedding_size != shape.hidden
    width = ("embedding", shape.embedding_size) if factorized else hidden
    parts = [
        table("embeddings.word", ("vocabulary", shape.vocabulary), width),
        table("embeddings.position", ("positions", shape.positions), width),
    ]
    if shape.token_types:
        parts.append(table("embeddings.token_type", ("token_types", shape.token_types), width))
    parts += norm("embeddings.norm", width, "embedding")
    if not factorized:
        return parts, ()
    return parts, linear("embeddings.projection", hidden, width, "embedding", "embeddings.projection")


def _block(shape: EncoderShape, number: int) -> list[Part]:
    """Attention and feed-forward, each with the norm after it."""
    block, name, hidden = shape.blocks[number], f"blocks.{number}", ("hidden", shape.hidden)
    heads = (f"{name}.heads", block.heads * block.head_size)
    inner = (f"{name}.feed_forward", block.feed_forward)
    parts: list[Part] = []
    for part in ("query", "key", "value"):
        parts += linear(f"{name}.attention.{part}", heads, hidden, "linear_before_attention", f"{name}.attention")
    parts += linear(f"{name}.attention.output", hidden, heads, "linear_after_attention", f"{name}.attention")
    parts += norm(f"{name}.attention_norm", hidden)
    parts += linear(f"{name}.feed_forward.input", inner, hidden, "feed_forward", f"{name}.feed_forward")
    parts += linear(f"{name}.feed_forward.output", hidden, inner, "feed_forward", f"{name}.feed_forward")
    return [*parts, *norm(f"{name}.feed_forward_norm", hidden)]


architecture = Transformer()
