"""What every architecture's module is: texts in, answers and states out.

Parameter names are a contract with importers, slicing and the ONNX writer: each architecture's `parts` lists its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocomp.architectures._shape import EncoderShape
from autocomp.architectures._tokens import Tokens
from autocomp.heads import heads

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

    @classmethod
    def of_pooled(cls, logits: Tensor, states: Tensor, attention_mask: Tensor) -> Outputs:
        """Those of an encoder without layers: answers and the states `[B, N, H]` that they were pooled from."""
        nothing = states.new_zeros(len(states), 1, states.shape[1], 0)
        return cls(logits, (states,), (Tokens.of_input(attention_mask),), {}, nothing, nothing, nothing)


class Encoder(nn.Module):
    """An encoder of the given shape with a head; `shape` always describes the weights it holds.

    Args:
        shape: every size.
        dropout: applied in training.
    """

    def __init__(self, shape: EncoderShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout

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
        raise NotImplementedError

    def make_head(self) -> nn.Module:
        """The head's module."""
        head = self.shape.head
        return heads[head.kind].module(self.shape.hidden, head, self.dropout, ACTIVATIONS[head.activation])

    def check_length(self, tokens: int) -> None:
        """Refuse more tokens than there are positions.

        Raises:
            ValueError: when `tokens` is over `shape.positions`.
        """
        if tokens > self.shape.positions:
            raise ValueError(f"{tokens} tokens, but the encoder has {self.shape.positions} positions; cut the text")
