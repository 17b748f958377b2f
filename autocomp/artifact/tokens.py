"""Which tokens of a batch are still there, and which may see which, as graph values; the twin of `models/tokens.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph


@dataclass(frozen=True)
class Tokens:
    """Names of values about the tokens between two layers, padding on the right.

    Attributes:
        mask: `[batch, tokens]`, int64 or boolean, true at tokens.
        types: int64 `[batch, tokens]`, which text of a pair each belongs to; None when there is one text.
    """

    mask: str
    types: str | None = None


def additive_mask(graph: Graph, tokens: Tokens, first_only: bool, local: bool) -> str:
    """0 where a token may be seen, -10,000 where not (its softmax weight is then exactly 0).

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


def most_attended(graph: Graph, tokens: Tokens, weights: str, thousandths: int) -> tuple[str, Tokens]:
    """Which tokens go on: the first one, then the others by the attention that they receive, equal ones as they stand.

    TopK puts the lower of two equal ones first, and padding receives exactly nothing, so it goes last.

    Args:
        weights: attention weights `[batch, heads, tokens, tokens]`.
        thousandths: of each text's tokens.

    Returns:
        Their places, int64 `[batch, kept, 1]`, and what is known of them.
    """
    by_asking = graph.op("ReduceSum", weights, graph.constant(np.array([1])), keepdims=0)
    asking = graph.op("Unsqueeze", _real(graph, tokens.mask), graph.constant(np.array([1])))
    count = graph.op("Shape", tokens.mask, start=1, end=2)
    bonus = graph.constant(np.array([0, 1e9], np.float32))
    first = graph.op("OneHot", graph.constant(np.array([0])), count, bonus)
    received = graph.op("Add", graph.op("MatMul", asking, by_asking), first)
    kept = _kept(graph, count, thousandths)
    _, places = graph.ops("TopK", 2, received, kept)
    places = graph.op("Reshape", places, graph.constant(np.array([0, -1, 1])))
    lengths = _kept(graph, _lengths(graph, tokens.mask), thousandths)
    mask = graph.op("Less", _range(graph, kept), lengths)
    graph.once(("lengths", mask), lambda _: lengths)
    types = None if tokens.types is None else rows_at(graph, tokens.types, places)
    return places, Tokens(mask, types)


def rows_at(graph: Graph, x: str, places: str) -> str:
    """The rows of `x` `[batch, tokens, …]` at `places` `[batch, kept, 1]`."""
    return graph.op("GatherND", x, places, batch_dims=1)


def _additive_mask(graph: Graph, tokens: Tokens, first_only: bool, local: bool) -> str:
    flat = graph.once(("padding", tokens.mask), lambda g: _penalty(g, _real(g, tokens.mask)))
    rows = graph.op("Unsqueeze", flat, graph.constant(np.array([1, 2])))
    if local:
        return graph.op("Add", rows, _other_text(graph, tokens, first_only))
    if first_only:
        return rows
    # A number added to a whole row leaves its softmax as it is.
    return graph.op("Add", rows, graph.op("Unsqueeze", flat, graph.constant(np.array([1, 3]))))


def _other_text(graph: Graph, tokens: Tokens, first_only: bool) -> str:
    """-10,000 where a token of the other text would be seen. What padding sees is of no matter."""
    types = str(tokens.types)
    seeing = graph.op("Unsqueeze", types, graph.constant(np.array([1, 3])))
    if first_only:
        start, stop, axis = (graph.constant(np.array([v])) for v in (0, 1, 2))
        seeing = graph.op("Slice", seeing, start, stop, axis)
    same = graph.op("Equal", seeing, graph.op("Unsqueeze", types, graph.constant(np.array([1, 2]))))
    return _penalty(graph, graph.op("Cast", same, to=TensorProto.FLOAT))


def _penalty(graph: Graph, visible: str) -> str:
    hidden = graph.op("Sub", graph.constant(np.array(1, np.float32)), visible)
    return graph.op("Mul", hidden, graph.constant(np.array(-1e4, np.float32)))


def _mean_weights(graph: Graph, mask: str) -> str:
    real, axis = _real(graph, mask), graph.constant(np.array([1]))
    return graph.op("Unsqueeze", graph.op("Div", real, graph.op("ReduceSum", real, axis, keepdims=1)), axis)


def _real(graph: Graph, mask: str) -> str:
    return graph.once(("real", mask), lambda g: g.op("Cast", mask, to=TensorProto.FLOAT))


def _lengths(graph: Graph, mask: str) -> str:
    """Real tokens of each text, int64 `[batch, 1]`; `mask` is the int64 input, or lengths are known from its making."""
    return graph.once(("lengths", mask), lambda g: g.op("ReduceSum", mask, g.constant(np.array([1])), keepdims=1))


def _kept(graph: Graph, counts: str, thousandths: int) -> str:
    """`models.shape.kept_tokens` of int64 values."""
    scaled = graph.op("Mul", counts, graph.constant(np.array(thousandths)))
    rounded_up = graph.op("Add", scaled, graph.constant(np.array(999)))
    return graph.op("Div", rounded_up, graph.constant(np.array(1000)))


def _range(graph: Graph, count: str) -> str:
    """0, 1, … below `count` `[1]`."""
    stop = graph.op("Squeeze", count)
    return graph.op("Range", graph.constant(np.array(0)), stop, graph.constant(np.array(1)))
