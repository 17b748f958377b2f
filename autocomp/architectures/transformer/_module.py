"""The elastic encoder: a BERT-like encoder in which every size of `EncoderShape` may differ, with a head on top.

Post-norm, as in BERT (Devlin et al., 2019, arXiv:1810.04805).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocomp.architectures._encoder import ACTIVATIONS, Encoder, Masks, Outputs
from autocomp.architectures._shape import BlockShape, EncoderShape
from autocomp.architectures._tokens import Tokens, rows_at
from autocomp.heads._module import masked_mean

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


class TransformerEncoder(Encoder):
    """The elastic encoder: embeddings, blocks, a head, and exit heads.

    `shape.order` may run one block at several depths (ALBERT, arXiv:1909.11942).
    """

    def __init__(self, shape: EncoderShape, dropout: float = 0.0) -> None:
        super().__init__(shape, dropout)
        self.embeddings = Embeddings(shape, dropout)
        self.blocks = nn.ModuleList(Block(shape, block, dropout) for block in shape.blocks)
        self.head = self.make_head()
        self.exits = nn.ModuleDict({str(d): nn.Linear(shape.hidden, shape.head.labels) for d in shape.exits})

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        masks: Masks | None = None,
    ) -> Outputs:
        """Run all layers and all exit heads; arguments as `Encoder` has them."""
        self.check_length(input_ids.shape[1])
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
