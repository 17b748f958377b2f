"""The shape of an encoder: every size that a plan can change, as plain data (no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from autocomp.heads import HeadShape
from autocomp.strict_json import Json, JsonView

if TYPE_CHECKING:
    from torch import Tensor

Count = TypeVar("Count", int, "Tensor")
DEFAULT = "transformer"
"""The architecture of teachers, and of students where nobody says another."""
_LATER: Mapping[str, object] = {"architecture": DEFAULT, "sizes": ()}
"""Keys that plain data has only where they say something: older shapes lack them, and stay as they are."""


@dataclass(frozen=True)
class BlockShape:
    """One block of weights: attention (heads x head_size) and feed-forward, each followed by a layer norm."""

    heads: int
    head_size: int
    feed_forward: int


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
        ranks: linear weights stored as two factors, `(parameter name, rank)` in the order of the names.
        tokens: per depth, the fraction of a text's tokens that go on after that layer's attention (see `kept_tokens`);
            empty when all do. The last layer's is never used: the classifier reads the first token alone.
        local_layers: lowest layers in which a token of a pair attends only to its own text, by token type; the first
            token is of the first text.
        architecture: a name of `autocomp.architectures`.
        sizes: what that architecture alone has, `(name, number)`.
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
    ranks: tuple[tuple[str, int], ...] = ()
    tokens: tuple[float, ...] = ()
    local_layers: int = 0
    architecture: str = DEFAULT
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def depth(self) -> int:
        """Layers that run."""
        return len(self.order)

    @property
    def reads_first_only(self) -> bool:
        """Whether of the last layer nothing but the first token's state is read."""
        return self.head.pooling == "first"

    def token_thousandths(self, depth: int) -> int | None:
        """Thousandths of a text's tokens that go on after the attention of the layer at `depth`; None when all do."""
        if not self.tokens or depth == self.depth - 1 or self.tokens[depth] >= 1:
            return None
        return max(1, round(1000 * self.tokens[depth]))

    def token_shares(self) -> list[tuple[float, float]]:
        """Per depth, the fraction of a text's tokens that enter the layer and that leave its attention."""
        shares, left = [], 1.0
        for depth in range(self.depth):
            entering, left = left, left * (self.token_thousandths(depth) or 1000) / 1000
            shares.append((entering, left))
        return shares

    def with_(self, **changes: Any) -> EncoderShape:
        """A copy with some sizes changed."""
        return replace(self, **changes)

    def to_json(self) -> Json:
        """Plain lists and numbers."""
        return {key: value for key, value in asdict(self).items() if _LATER.get(key, ...) != value}

    @classmethod
    def from_json(cls, data: JsonView) -> EncoderShape:
        """Inverse of `to_json`."""
        return cls(
            **{
                **data,
                "blocks": tuple(BlockShape(**b) for b in data["blocks"]),
                "order": tuple(data["order"]),
                "exits": tuple(data["exits"]),
                "ranks": tuple((name, rank) for name, rank in data.get("ranks", ())),
                "tokens": tuple(data.get("tokens", ())),
                "sizes": tuple((name, size) for name, size in data.get("sizes", ())),
                "head": HeadShape(**data["head"]),
            }
        )


def kept_tokens(tokens: Count, thousandths: int) -> Count:
    """How many of `tokens` go on: `thousandths` of them, rounded up. Whole numbers, so that every runtime agrees."""
    return (tokens * thousandths + 999) // 1000
