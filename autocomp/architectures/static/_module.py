"""The module of a student without layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autocomp.architectures._encoder import Encoder, Masks, Outputs
from autocomp.architectures._shape import EncoderShape
from autocomp.architectures.static._pairs import STEP


class Emphasis(nn.Module):
    """One number a word, `[V]`: the logarithm of how much it weighs."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary))


class Tables(nn.Module):
    """Vectors of words and of pairs of neighbours, and how much each word weighs in the mean."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        sizes = dict(shape.sizes)
        self.word = nn.Embedding(shape.vocabulary, shape.embedding_size)
        self.emphasis = Emphasis(shape.vocabulary)
        self.pair = nn.Embedding(sizes["pairs"], shape.hidden - shape.embedding_size) if sizes["pairs"] else None

    def forward(self, input_ids: Tensor) -> Tensor:
        """`[B, N]` ids to `[B, N, H]`."""
        words: Tensor = self.word(input_ids)
        if self.pair is None:
            return words
        return torch.cat([words, self.pair(pairs_of(input_ids, self.pair.num_embeddings))], -1)

    def weights(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """How much each token counts, `[B, N]`: of every text as much together as it has tokens."""
        scores = self.emphasis.weight[input_ids].masked_fill(mask == 0, -torch.inf)
        return scores.softmax(-1) * mask.sum(1, keepdim=True)


def pairs_of(input_ids: Tensor, rows: int) -> Tensor:
    """The row of each token and the one before it, `[B, N]`; the first token stands behind a piece of number 0."""
    before = torch.nn.functional.pad(input_ids[:, :-1], (1, 0))
    return (before * STEP + input_ids) % rows


class StaticEncoder(Encoder):
    """Look-ups, a weighted mean, and a head."""

    def __init__(self, shape: EncoderShape, dropout: float = 0.0) -> None:
        super().__init__(shape, dropout)
        self.embeddings = Tables(shape)
        self.head = self.make_head()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        masks: Masks | None = None,
    ) -> Outputs:
        """Answers of the weighted mean; arguments as `Encoder` has them, of which the last two change nothing."""
        self.check_length(input_ids.shape[1])
        states = self.embeddings(input_ids)
        logits = self.head(states, self.embeddings.weights(input_ids, attention_mask))
        return Outputs.of_pooled(logits, states, attention_mask)
