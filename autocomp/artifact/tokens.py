"""Which tokens of a batch are still there, and which see which, as graph values: `architectures/_tokens.py`'s twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph

OUT_OF_SIGHT = -60.0
"""Added to the attention score of what may not be seen: its softmax weight is 1e-26 of a seen token's of equal score.

At -10,000, minus infinity or with a boolean mask the runtime's softmax underflows: with half the scores masked,
Attention takes twice as long at 128 tokens (1.00 to 1.10 against 0.53 ms, 0.52 unmasked), and seven times at -100.
"""


@dataclass(frozen=True)
class Tokens:
    """Names of values about the tokens between two layers, padding on the right.

    Attributes:
        mask: int64 `[batch, tokens]`, 1 at tokens, or boolean `[batch, 1, 1, tokens]`.
        types: int64 `[batch, tokens]`, which text of a pair each belongs to; None when there is one text.
    """

    mask: str
    types: str | None = None


def additive_mask(graph: Graph, tokens: Tokens, first_only: bool, local: bool) -> str:
    """0 where a token may be seen, `OUT_OF_SIGHT` where not.

    Returns:
        `[batch, 1, tokens, tokens]` for all tokens, because ONNX Runtime's Attention wants a row per asking token;
        `[batch, 1, 1, tokens]` if only the first asks.
    """
    local = local and tokens.types is not None
    key = ("attention mask", tokens.mask, first_only, local)
    return graph.once(key, lambda g: _additive_mask(g, tokens, first_only, local))


def mean_weights(graph: Graph, tokens: Tokens) -> str:
    """Each token's share in the mean over the real tokens, `[batch, 1, tokens]`."""
    return graph.once(("mean weights", tokens.mask), lambda g: _mean_weights(g, tokens.mask))


def weigh_tokens(graph: Graph, tokens: Tokens, scores: str) -> None:
    """Let the mean over the real tokens weigh each by the softmax of its score, `[batch, tokens]`."""
    axis = graph.constant(np.array([1]))
    visible = graph.op("Cast", tokens.mask, to=TensorProto.BOOL)
    weights = graph.op("Softmax", graph.op("Add", scores, _penalty(graph, visible)), axis=-1)
    graph.once(("mean weights", tokens.mask), lambda g: g.op("Unsqueeze", weights, axis))


def most_attended(graph: Graph, tokens: Tokens, weights: str, thousandths: int) -> tuple[str, Tokens]:
    """Which tokens go on: the first one, then the others by the attention that they receive, equal ones as they stand.

    TopK puts the lower of two equal ones first, and padding counts as receiving nothing, so it goes last.

    Args:
        weights: attention weights `[batch, heads, tokens, tokens]`.
        thousandths: of each text's tokens.

    Returns:
        Their places, int64 `[batch, kept, 1]`, and what is known of them.
    """
    lengths = _kept(graph, _lengths(graph, tokens.mask), thousandths)
    longest = graph.op("ReduceMax", lengths, keepdims=0)
    count = graph.op("Unsqueeze", longest, graph.constant(np.array([0])))
    _, places = graph.ops("TopK", 2, _received(graph, tokens, weights), count)
    places = graph.op("Reshape", places, graph.constant(np.array([0, -1, 1])))
    numbers = graph.op("Range", graph.constant(np.array(0)), longest, graph.constant(np.array(1)))
    mask = graph.op("Less", numbers, lengths)
    graph.once(("lengths", mask), lambda _: lengths)
    graph.once(("count", mask), lambda _: count)
    graph.once(("visible", mask), lambda _: mask)
    return places, Tokens(mask, None if tokens.types is None else rows_at(graph, tokens.types, places))


def rows_at(graph: Graph, x: str, places: str) -> str:
    """The rows of `x` `[batch, tokens, …]` at `places` `[batch, kept, 1]`."""
    return graph.op("GatherND", x, places, batch_dims=1)


def _received(graph: Graph, tokens: Tokens, weights: str) -> str:
    """Attention received, summed over real tokens and heads, `[batch, 1, tokens]`; the first token's is the largest.

    Tokens first: to sum over the heads of whole matrices takes ten times as long.
    """
    by_head = graph.op("MatMul", _real(graph, tokens.mask), weights)
    received = graph.op("ReduceSum", by_head, graph.constant(np.array([1])), keepdims=1)
    received = graph.op("Squeeze", graph.op("Mul", received, _real(graph, tokens.mask)), graph.constant(np.array([1])))
    bonus = graph.constant(np.array([0, 1e9], np.float32))
    return graph.op(
        "Add", received, graph.op("OneHot", graph.constant(np.array([0])), _count(graph, tokens.mask), bonus)
    )


def _additive_mask(graph: Graph, tokens: Tokens, first_only: bool, local: bool) -> str:
    visible = _visible(graph, tokens.mask)
    if local:
        return _penalty(graph, graph.op("And", visible, _same_text(graph, str(tokens.types), first_only)))
    rows = _hidden(graph, tokens.mask)
    # A number added to a whole row leaves its softmax as it is.
    return rows if first_only else graph.op("Add", rows, graph.op("Transpose", rows, perm=[0, 1, 3, 2]))


def _hidden(graph: Graph, mask: str) -> str:
    """0 at tokens, `OUT_OF_SIGHT` at padding, `[batch, 1, 1, tokens]`."""
    return graph.once(("hidden", mask), lambda g: _penalty(g, _visible(g, mask)))


def _same_text(graph: Graph, types: str, first_only: bool) -> str:
    """Boolean `[batch, 1, tokens or 1, tokens]`. What padding sees is of no matter."""
    seeing = graph.op("Unsqueeze", types, graph.constant(np.array([1, 3])))
    if first_only:
        start, stop, axis = (graph.constant(np.array([v])) for v in (0, 1, 2))
        seeing = graph.op("Slice", seeing, start, stop, axis)
    return graph.op("Equal", seeing, graph.op("Unsqueeze", types, graph.constant(np.array([1, 2]))))


def _penalty(graph: Graph, visible: str) -> str:
    return graph.op("Where", visible, *(graph.constant(np.array(v, np.float32)) for v in (0, OUT_OF_SIGHT)))


def _mean_weights(graph: Graph, mask: str) -> str:
    """A softmax of the row that Attention has anyway: equal shares in two operators instead of four."""
    return graph.op("Squeeze", graph.op("Softmax", _hidden(graph, mask), axis=-1), graph.constant(np.array([1])))


def _visible(graph: Graph, mask: str) -> str:
    """Boolean `[batch, 1, 1, tokens]` of the input; of later masks it is known."""
    return graph.once(("visible", mask), lambda g: _in_4_axes(g, g.op("Cast", mask, to=TensorProto.BOOL)))


def _real(graph: Graph, mask: str) -> str:
    return graph.once(("real", mask), lambda g: g.op("Cast", _visible(g, mask), to=TensorProto.FLOAT))


def _lengths(graph: Graph, mask: str) -> str:
    """Real tokens of each text, int64 `[batch, 1, 1, 1]`; of later masks they are known."""
    return graph.once(
        ("lengths", mask), lambda g: _in_4_axes(g, g.op("ReduceSum", mask, g.constant(np.array([1])), keepdims=1))
    )


def _count(graph: Graph, mask: str) -> str:
    """Tokens of the longest text, padding included, int64 `[1]`."""
    return graph.once(("count", mask), lambda g: g.op("Shape", mask, start=1, end=2))


def _in_4_axes(graph: Graph, x: str) -> str:
    """`[batch, n]` as `[batch, 1, 1, n]`."""
    return graph.op("Unsqueeze", x, graph.constant(np.array([1, 2])))


def _kept(graph: Graph, counts: str, thousandths: int) -> str:
    """`architectures.kept_tokens` of int64 values."""
    scaled = graph.op("Mul", counts, graph.constant(np.array(thousandths)))
    rounded_up = graph.op("Add", scaled, graph.constant(np.array(999)))
    return graph.op("Div", rounded_up, graph.constant(np.array(1000)))
