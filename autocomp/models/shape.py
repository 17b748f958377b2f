"""The shape of an elastic encoder: every size that a plan can change, as plain data (no torch)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class BlockShape:
    """One block of weights: attention (heads x head_size) and feed-forward, each followed by a layer norm."""

    heads: int
    head_size: int
    feed_forward: int


@dataclass(frozen=True)
class HeadShape:
    """The classifier on the first token: optional dense layer (to `size`) with an activation, then `labels` logits."""

    labels: int
    size: int | None = None
    activation: str = "tanh"


@dataclass(frozen=True)
class EncoderShape:
    """Every size of an encoder.

    Attributes:
        vocabulary: rows of the word embedding.
        positions: usable positions (tokens of the longest text).
        token_types: rows of the token-type embedding; 0 when the family has none.
        embedding_size: width of the embeddings; a projection to `hidden` exists when they differ.
        hidden: width of the residual stream.
        blocks: the distinct blocks of weights.
        order: which block runs at each depth; `(0, 1, 2)` plain, `(0, 0, 0)` shared as in ALBERT.
        head: the classifier.
        exits: depths (number of layers run) after which an exit head may stop, ascending, each < depth.
        activation: of the feed-forward: `gelu`, `gelu_tanh` or `relu`.
        norm_epsilon: of every layer norm.
    """

    vocabulary: int
    positions: int
    token_types: int
    embedding_size: int
    hidden: int
    blocks: tuple[BlockShape, ...]
    order: tuple[int, ...]
    head: HeadShape
    exits: tuple[int, ...] = ()
    activation: str = "gelu"
    norm_epsilon: float = 1e-12

    @property
    def depth(self) -> int:
        """Layers that run."""
        return len(self.order)

    def with_(self, **changes: Any) -> EncoderShape:
        """A copy with some sizes changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EncoderShape:
        """Inverse of `to_json`."""
        return cls(
            **{
                **data,
                "blocks": tuple(BlockShape(**b) for b in data["blocks"]),
                "order": tuple(data["order"]),
                "exits": tuple(data["exits"]),
                "head": HeadShape(**data["head"]),
            }
        )
