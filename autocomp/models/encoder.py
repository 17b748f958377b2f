"""The elastic encoder: a BERT-like encoder in which every size of `EncoderShape` may differ, with a head on top.

Post-norm, as in BERT (Devlin et al., 2019, arXiv:1810.04805). Parameter names are a contract with the importers,
the slicing functions and the ONNX writer; `docs/architecture.md` lists them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.errors import ModelError
from autocomp.heads import heads
from autocomp.heads._module import masked_mean
from autocomp.models.linears import hold_as_factors
from autocomp.models.shape import BlockShape, EncoderShape
from autocomp.models.tokens import Tokens, rows_at

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Masks:
    """Multipliers of one, whose gradients tell how much each part of a model matters.

    Attributes:
        heads: per depth, `[heads]`, on the output of each attention head.
        feed_forward: per depth, `[F]`, on the activations inside the feed-forward.
        hidden: `[H]`, on the residual stream wherever it is written (embeddings' output and both norms).
    """

    heads: Sequence[Tensor] | None = None
    feed_forward: Sequence[Tensor] | None = None
    hidden: Tensor | None = None

    @classmethod
    def ones(cls, shape: EncoderShape, device: torch.device | str = "cpu") -> Masks:
        """Masks that change nothing and record gradients."""
        blocks = [shape.blocks[b] for b in shape.order]
        return cls(
            heads=[torch.ones(b.heads, device=device, requires_grad=True) for b in blocks],
            feed_forward=[torch.ones(b.feed_forward, device=device, requires_grad=True) for b in blocks],
            hidden=torch.ones(shape.hidden, device=device, requires_grad=True),
        )


@dataclass(frozen=True)
class Outputs:
    """What one forward pass gives (B texts, N tokens, H hidden, C labels).

    Attributes:
        logits: `[B, C]`.
        hidden: `depth + 1` tensors `[B, N, H]`: after the embeddings and after each layer. N falls where the shape
            lets tokens go.
        tokens: of each of these, which tokens there are.
        exit_logits: `{depth: [B, C]}` of every exit head.
        queries, keys, values: of the last layer, `[B, heads, N, head_size]`, of the tokens of the last state.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]
    tokens: tuple[Tokens, ...]
    exit_logits: dict[int, Tensor]
    queries: Tensor
    keys: Tensor
    values: Tensor


Relations = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values."""
Choose = Callable[[Tensor], Tensor]
"""From attention weights `[B, heads, N, N]` to the tokens that go on, `[B, K]`."""


class Embeddings(nn.Module):
    """Word + position + token type, normed, projected to the hidden size where they are narrower."""

    def __init__(self, shape: EncoderShape, dropout: float) -> None:
        super().__init__()
        self.word = nn.Embedding(shape.vocabulary, shape.embedding_size)
        self.position = nn.Embedding(shape.positions, shape.embedding_size)
        self.token_type = nn.Embedding(shape.token_types, shape.embedding_size) if shape.token_types else None
        self.norm = nn.LayerNorm(shape.embedding_size, eps=shape.norm_epsilon)
        factorized = shape.embedding_size != shape.hidden
        self.projection = nn.Linear(shape.embedding_size, shape.hidden) if factorized else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """`[B, N]` ids to `[B, N, H]`."""
        x: Tensor = self.word(input_ids) + self.position.weight[: input_ids.shape[1]]
        if self.token_type is not None:
            x = x + (self.token_type.weight[0] if token_type_ids is None else self.token_type(token_type_ids))
        x = self.dropout(self.norm(x))
        return x if self.projection is None else _apply(self.projection, x)


class Attention(nn.Module):
    """Multi-head self-attention of any number of heads and head size; the residual is added by the block."""

    def __init__(self, hidden: int, shape: BlockShape, dropout: float) -> None:
        super().__init__()
        inner = shape.heads * shape.head_size
        self.heads, self.head_size = shape.heads, shape.head_size
        self.query, self.key, self.value = (nn.Linear(hidden, inner) for _ in range(3))
        self.output = nn.Linear(inner, hidden)
        self.dropout = dropout

    def forward(
        self, x: Tensor, visible: Tensor, mask: Tensor | None = None, choose: Choose | None = None
    ) -> tuple[Tensor, Relations, Tensor | None]:
        """`[B, N, H]` to the sublayer's output, (queries, keys, values), and the tokens that `choose` lets go on.

        The output is of those tokens alone, `[B, K, H]`.
        """
        query, key, value = self.split(x)
        if choose is None:
            return self.join(self.attend(query, key, value, visible, mask)), (query, key, value), None
        weights = self.weigh(query, key, visible)
        chosen = choose(weights)
        read = _masked(self.drop(rows_at(weights, chosen)) @ value, None if mask is None else mask[:, None, None])
        return self.join(read), (query, key, value), chosen

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, heads, N, head_size]` of `x`."""
        size = (*x.shape[:2], self.heads, self.head_size)
        query, key, value = (part(x).view(size).transpose(1, 2) for part in (self.query, self.key, self.value))
        return query, key, value

    def attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor, mask: Tensor | None = None) -> Tensor:
        """What each head reads, `[B, heads, N, head_size]`; `visible` `[B, 1, 1 or N, N]` says who sees whom."""
        read = _read(query, key, value, visible, self.dropout if self.training else 0.0)
        return read if mask is None else read * mask[:, None, None]

    def weigh(self, query: Tensor, key: Tensor, visible: Tensor) -> Tensor:
        """Attention weights `[B, heads, N, N]`: how much each token (row) attends to each other."""
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.head_size)
        return scores.masked_fill(~visible, -math.inf).softmax(-1)

    def drop(self, weights: Tensor) -> Tensor:
        """Dropout, in training."""
        return F.dropout(weights, self.dropout, self.training)

    def join(self, read: Tensor) -> Tensor:
        """The heads' readings as one `[B, N, H]`."""
        return _apply(self.output, read.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linears around an activation."""

    def __init__(self, hidden: int, width: int, activation: str) -> None:
        super().__init__()
        self.input, self.output = nn.Linear(hidden, width), nn.Linear(width, hidden)
        self.activation = activation

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`[B, N, H]` to `[B, N, H]`; `mask` `[F]` multiplies the activations."""
        inner = ACTIVATIONS[self.activation](self.input(x))
        return _apply(self.output, _masked(inner, mask))


class Block(nn.Module):
    """Attention and feed-forward, each with a residual connection and a layer norm after it."""

    def __init__(self, shape: EncoderShape, block: BlockShape, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(shape.hidden, block, dropout)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=shape.norm_epsilon)
        self.feed_forward = FeedForward(shape.hidden, block.feed_forward, shape.activation)
        self.feed_forward_norm = nn.LayerNorm(shape.hidden, eps=shape.norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, visible: Tensor, masks: Masks | None, depth: int, choose: Choose | None = None
    ) -> tuple[Tensor, Relations, Tensor | None]:
        """`[B, N, H]` to the layer's output `[B, K, H]`, its (queries, keys, values), and who goes on (see Attention).

        K is N without `choose`.
        """
        masks = masks or Masks()
        mask = None if masks.heads is None else masks.heads[depth]
        read, relations, chosen = self.attention(x, visible, mask, choose)
        x = x if chosen is None else rows_at(x, chosen)
        x = _masked(self.attention_norm(x + self.dropout(read)), masks.hidden)
        inner = self.feed_forward(x, None if masks.feed_forward is None else masks.feed_forward[depth])
        return _masked(self.feed_forward_norm(x + self.dropout(inner)), masks.hidden), relations, chosen


class Encoder(nn.Module):
    """An encoder of the given shape with a head; `shape` always describes the weights it holds.

    Args:
        shape: every size. `shape.order` may run one block at several depths (ALBERT, arXiv:1909.11942).
        dropout: applied in training where BERT applies it.
    """

    def __init__(self, shape: EncoderShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.embeddings = Embeddings(shape, dropout)
        self.blocks = nn.ModuleList(Block(shape, block, dropout) for block in shape.blocks)
        head = shape.head
        self.head = heads[head.kind].module(shape.hidden, head, dropout, ACTIVATIONS[head.activation])
        self.exits = nn.ModuleDict({str(d): nn.Linear(shape.hidden, shape.head.labels) for d in shape.exits})

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        masks: Masks | None = None,
    ) -> Outputs:
        """Run all layers and all exit heads.

        Args:
            input_ids: `[B, N]`, padded on the right.
            attention_mask: `[B, N]`, 1 at tokens and 0 at padding.
            token_type_ids: `[B, N]`; None means all zero.
            masks: see `Masks`; None costs nothing.

        Raises:
            ValueError: when N is over `shape.positions`.
        """
        self._check_length(input_ids.shape[1])
        x = _masked(self.embeddings(input_ids, token_type_ids), masks.hidden if masks else None)
        hidden, tokens = [x], [Tokens.of_input(attention_mask, token_type_ids if self.shape.token_types > 1 else None)]
        for depth, block in enumerate(self.shape.order):
            visible = tokens[-1].visible(local=depth < self.shape.local_layers)
            kept = self.shape.token_thousandths(depth)
            choose = None if kept is None else partial(tokens[-1].most_attended, thousandths=kept)
            x, relations, chosen = self.blocks[block](x, visible, masks, depth, choose)
            hidden.append(x)
            tokens.append(tokens[-1] if kept is None else tokens[-1].keep(chosen, kept))
        exits = {d: self.exits[str(d)](masked_mean(hidden[d], tokens[d].mask)) for d in self.shape.exits}
        return Outputs(self.head(x, tokens[-1].mask), tuple(hidden), tuple(tokens), exits, *relations)

    def _check_length(self, tokens: int) -> None:
        if tokens > self.shape.positions:
            raise ValueError(f"{tokens} tokens, but the encoder has {self.shape.positions} positions; cut the text")


class Outline(Encoder):
    """The sizes of an encoder without its numbers, to compute what a plan would make of it.

    `slicing.py` takes it for an encoder and gives another outline, a hundred times faster: no module is built.
    """

    def __init__(self, shape: EncoderShape, weights: Mapping[str, Tensor]) -> None:
        nn.Module.__init__(self)
        self.shape, self.dropout = shape, 0.0
        self.weights = {name: weight.to("meta") for name, weight in weights.items()}

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """The whole weights by name, on no device."""
        for name, weight in self.weights.items():
            yield name, nn.Parameter(weight, requires_grad=False)


def blank_encoder(shape: EncoderShape, dropout: float = 0.0) -> Encoder:
    """An encoder whose weights are uninitialised memory, to be filled; draws no random number.

    Weights of low rank are whole yet: `hold_as_factors` once they are filled.
    """
    with torch.device("meta"):
        encoder = Encoder(shape, dropout)
    return encoder.to_empty(device="cpu")


def encoder_from(shape: EncoderShape, weights: Mapping[str, Tensor], dropout: float = 0.0) -> Encoder:
    """An encoder of the given shape holding a copy of `weights` (named as in the contract), in evaluation mode.

    A weight that `shape.ranks` names becomes the nearest one of that rank.

    Raises:
        ModelError: when a weight is missing, unknown or of another size.
    """
    encoder = blank_encoder(shape, dropout)
    try:
        encoder.load_state_dict(dict(weights), strict=True)
        hold_as_factors(encoder, shape)
    except (RuntimeError, AttributeError) as error:
        raise ModelError(f"weights do not fit the encoder's shape: {error}") from error
    return encoder.eval()


def plain_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """`{name: tensor}` under the contract's names, detached; a parametrized weight gives its effective value."""
    if isinstance(encoder, Outline):
        return dict(encoder.weights)
    found: dict[str, Tensor] = {}
    for prefix, module in encoder.named_modules():
        if "parametrizations" in prefix.split("."):
            continue
        names = [name for name, _ in nn.Module.named_parameters(module, recurse=False, remove_duplicate=False)]
        if parametrize.is_parametrized(module):
            names += list(module.parametrizations)
        found |= {f"{prefix}.{name}" if prefix else name: getattr(module, name).detach() for name in names}
    return found


def _read(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, dropout: float) -> Tensor:
    """Scaled dot-product attention; of FP32 on a CPU if gradients are wanted.

    There PyTorch 2.13 takes 41 ms on a thread to go forth and back in BF16 (32 texts of 24 tokens, 12 heads of 32),
    and 4.3 ms in FP32.
    """
    slow_back = query.dtype is torch.bfloat16 and query.device.type == "cpu" and torch.is_grad_enabled()
    if not slow_back:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
    with torch.autocast("cpu", enabled=False):
        query, key, value = (x.float() for x in (query, key, value))
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=dropout)
    return read.to(torch.bfloat16)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _apply(module: nn.Module, x: Tensor) -> Tensor:
    """`module(x)`, whose type torch leaves open."""
    result: Tensor = module(x)
    return result
