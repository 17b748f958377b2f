"""Which tokens of a batch are still there, and which may see which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autocomp.architectures._shape import kept_tokens


@dataclass(frozen=True)
class Tokens:
    """The tokens between two layers, padding on the right.

    Attributes:
        places: `[B, N]`, where each stood in the input.
        mask: `[B, N]`, 1 at tokens and 0 at padding.
        types: `[B, N]`, which text of a pair each belongs to; None when there is one text.
    """

    places: Tensor
    mask: Tensor
    types: Tensor | None = None

    @classmethod
    def of_input(cls, attention_mask: Tensor, types: Tensor | None = None) -> Tokens:
        """All tokens of a batch."""
        places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        return cls(places.expand_as(attention_mask), attention_mask, types)

    def visible(self, local: bool) -> Tensor:
        """Who sees whom, `[B, 1, 1, N]` or, if only tokens of one text see each other, `[B, 1, N, N]`.

        Padding sees everything, so that no row is empty; nobody sees padding.
        """
        real = self.mask[:, None, None, :].bool()
        if not local or self.types is None:
            return real
        same = self.types[:, None, :, None] == self.types[:, None, None, :]
        return real & (same | ~self.mask[:, None, :, None].bool())

    @torch.no_grad()
    def most_attended(self, weights: Tensor, thousandths: int) -> Tensor:
        """Which tokens go on, `[B, K]`: the first one, then the others by the attention that they receive.

        PoWER-BERT's significance (Goyal et al. 2020, arXiv:2001.08950): attention weights summed over heads and asking
        tokens. Of equal ones the one further left goes first, so padding goes last.

        Args:
            weights: `[B, heads, N, N]`, softmax over the last axis.
            thousandths: of each text's tokens; K is that of N.
        """
        received = torch.einsum("bhqk,bq->bk", weights.float(), self.mask.float())
        received[:, 0] = torch.inf
        order = torch.sort(received, descending=True, stable=True).indices
        return order[:, : kept_tokens(weights.shape[-1], thousandths)]

    def keep(self, chosen: Tensor, thousandths: int) -> Tokens:
        """The tokens at `chosen` `[B, K]`, as `most_attended` gives them: of each text its own part, then padding.

        So a text keeps the same tokens whatever batch it is in.
        """
        lengths = kept_tokens(self.mask.sum(1, keepdim=True), thousandths)
        mask = (torch.arange(chosen.shape[1], device=chosen.device) < lengths).to(self.mask.dtype)
        types = None if self.types is None else self.types.gather(1, chosen)
        return Tokens(self.places.gather(1, chosen), mask, types)


def rows_at(x: Tensor, chosen: Tensor) -> Tensor:
    """The rows of `x` `[..., N, W]` at `chosen` `[B, K]`, `[..., K, W]`; the first axis of `x` is the batch."""
    index = chosen.view(chosen.shape[0], *[1] * (x.ndim - 3), chosen.shape[1], 1)
    return x.gather(-2, index.expand(*x.shape[:-2], chosen.shape[1], x.shape[-1]))
